"""A study from end to end: the server as a process, votes by HTTP, and voters in a browser."""

import csv
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from ppcartoon.evaluation.user_study.votes import load
from tests.helpers.browser import browsing, needs_browser
from tests.helpers.studies import COLORS, STYLES, choices, method_of, write_study
from tests.helpers.training_runs import ROOT

pytestmark = pytest.mark.slow

TOOL = [sys.executable, str(ROOT / "tools/study.py")]


@contextmanager
def serving(study: Path, *options):
    """Starts the server of a study; yields the process and its address."""
    process = subprocess.Popen(
        [*TOOL, "serve", str(study), "--port", "0", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        line = next((line for line in process.stdout if line.startswith("http")), None)
        assert line, process.communicate()[1]
        yield process, line.split()[0]
    finally:
        process.kill()
        process.communicate()


def new_voter(address):
    browser = requests.Session()
    browser.trust_env = False
    browser.post(f"{address}/start")
    return browser


def test_acknowledged_votes_survive_a_killed_server(tmp_path):
    study = write_study(tmp_path / "study", photos=30)
    enough, acknowledged = threading.Event(), [0] * 4
    with serving(study, "--sets", "60") as (process, address):
        voters = [new_voter(address) for _ in acknowledged]

        def vote(number):
            try:
                while tokens := choices(voters[number].get(address).text):
                    answer = voters[number].post(f"{address}/vote", data={"choice": tokens[0]}, allow_redirects=False)
                    assert answer.status_code == 303
                    acknowledged[number] += 1
                    if sum(acknowledged) >= 25:
                        enough.set()
            except requests.RequestException:  # killed
                pass

        threads = [threading.Thread(target=vote, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        assert enough.wait(30)
        process.kill()
        for thread in threads:
            thread.join()
    with serving(study, "--sets", "60") as (process, address):
        for voter, votes in zip(voters, acknowledged):
            at = int(re.search(r"(\d+) of 60", voter.get(address).text)[1])
            assert at in (votes + 1, votes + 2)  # the last vote may be saved but not acknowledged
        assert sum(acknowledged) <= len(load(study / "votes.sqlite")[1]) <= sum(acknowledged) + 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_server_exits_with_0_and_leaves_only_the_votes(tmp_path, number):
    study = write_study(tmp_path / "study", photos=1)
    with serving(study) as (process, address):
        voter = new_voter(address)
        voter.post(f"{address}/vote", data={"choice": choices(voter.get(address).text)[0]})
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0 and err == "" and out == f"votes in {study / 'votes.sqlite'}: 1\n"
    assert sorted(path.name for path in study.iterdir()) == ["paprika", "photos", "shinkai", "votes.sqlite"]


def test_slow_votes_and_idle_connections_delay_neither_voters_nor_the_end(tmp_path):
    study = write_study(tmp_path / "study", photos=1)
    slow = b"POST /vote HTTP/1.1\r\nHost: localhost\r\nContent-Length: 39\r\n\r\nchoice="
    with serving(study) as (process, address), ExitStack() as clients:
        for sent in (slow, b"GET / HTTP/1.1\r\n", b"") * 100:
            client = clients.enter_context(socket.create_connection(("127.0.0.1", urlsplit(address).port)))
            client.sendall(sent)
        voter = new_voter(address)
        text = voter.get(address, timeout=5).text
        assert voter.post(f"{address}/vote", data={"choice": choices(text)[0]}, timeout=5).ok
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "") and out.endswith("votes.sqlite: 1\n")


@pytest.mark.parametrize("host, message", [("127.0.0.1", "in use"), ("no.such.host.invalid", "cannot listen there")])
def test_address_in_use_or_invalid_gives_one_line(tmp_path, host, message):
    study = write_study(tmp_path / "study", photos=1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run(
            [*TOOL, "serve", str(study), "--host", host, "--port", port], capture_output=True, text=True
        )
    (line,) = done.stderr.splitlines()
    assert (
        done.returncode == 2 and done.stdout == "" and f"{host}, port {port}: cannot listen" in line and message in line
    )
    assert not (study / "votes.sqlite").exists()


COLORS_SHOWN = """
    const images = [...document.querySelectorAll(".set label img")];
    await Promise.all(images.map((img) => img.decode()));
    return images.map((img) => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [img.naturalWidth, img.naturalHeight];
        const context = canvas.getContext("2d");
        context.drawImage(img, 0, 0);
        return [...context.getImageData(img.naturalWidth - 1, img.naturalHeight - 1, 1, 1).data.slice(0, 3)];
    });
"""
SIZES = """
    return [...document.querySelectorAll(".set img")].map((img) => {
        const {width, height} = img.getBoundingClientRect();
        return [width, height].map(Math.round).join("x");
    });
"""


class Voter:
    """A voter in a browser, who always chooses the images of one method."""

    def __init__(self, driver, address, preferred):
        self.driver, self.preferred = driver, preferred
        driver.delete_all_cookies()
        driver.get(address)
        self.click("button")

    def click(self, selector):
        self.driver.find_element("css selector", selector).click()

    def press(self, *keys):
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def position(self):
        """The position of the preferred method among the images, from 0."""
        return [method_of(color) for color in self.driver.execute_script(COLORS_SHOWN)].index(self.preferred)

    def is_at(self, turn):
        """Whether the page shows this one of four sets, or the thanks page for 5."""
        text = self.driver.find_element("css selector", "body").text
        return (f"{turn} of 4" if turn <= 4 else "Thank you") in text

    def choose(self, how):
        from selenium.webdriver.common.keys import Keys

        position = self.position()
        if how == "number":
            self.press(str(position + 1), Keys.ENTER)
        elif how == "arrows":
            self.press(*[Keys.ARROW_RIGHT] * (position + 1), Keys.ENTER)
        else:
            self.click(f".set label:nth-of-type({position + 1})")
            self.click(".bar button")


@needs_browser
def test_report_shows_the_preferences_of_simulated_voters(tmp_path):
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.wait import WebDriverWait

    study = write_study(tmp_path / "study", photos=2, height=300, width=400)
    preferences = ["AnimeGAN"] * 6 + ["CycleGAN"] * 4 + ["CartoonGAN"] * 2
    with serving(study) as (_, address), browsing(tmp_path / "profile") as driver:
        wait = WebDriverWait(driver, 10, 0.02, ignored_exceptions=[WebDriverException])
        for number, preferred in enumerate(preferences):
            if number == 11:
                driver.set_window_size(360, 740)
                metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
                driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            voter = Voter(driver, address, preferred)
            for turn in range(1, 5):
                wait.until(lambda _, turn=turn, voter=voter: voter.is_at(turn))
                how = ("number", "arrows", "click")[number % 3]
                if number in (0, 11):
                    assert len(set(driver.execute_script(SIZES))) == 1
                    width, seen = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
                    assert width <= seen == (1400 if number == 0 else 360)
                if number == 1:  # reloads the page, and goes back after a vote
                    driver.refresh()
                    position = voter.position()
                    driver.refresh()
                    assert voter.position() == position and voter.is_at(turn)
                    voter.choose(how)
                    wait.until(lambda _, turn=turn, voter=voter: voter.is_at(turn + 1))
                    driver.back()
                elif number == 2:  # clicks twice
                    voter.click(f".set label:nth-of-type({voter.position() + 1})")
                    ActionChains(driver).double_click(driver.find_element("css selector", ".bar button")).perform()
                else:
                    voter.choose(how)
            wait.until(lambda _, voter=voter: voter.is_at(5))
        output = tmp_path / "out"
        done = subprocess.run([*TOOL, "report", str(study), "-o", str(output)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    with open(output / "shares.csv", newline="") as file:
        rows = {(row["style"], row["method"]): row for row in csv.DictReader(file)}
    assert len(rows) == 3 * len(COLORS)
    for method in COLORS:
        share = preferences.count(method) / len(preferences)
        for style, votes in (*((style, 2) for style in STYLES), ("all styles", 4)):
            assert int(rows[style, method]["votes"]) == votes * preferences.count(method)
            assert float(rows[style, method]["share"]) == pytest.approx(share)
    assert "48 votes of 12 voters" in done.stdout
