"""Logs of a run, read with VisualDL's reader and seen on VisualDL's page in a browser."""

import contextlib
import io
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from visualdl import LogReader

from ppcartoon.training.monitor import VISUALDL, TrainingLogger, cut_records, tag
from tests.helpers import training_runs
from tests.helpers.browser import browsing, needs_browser

TERMS = {"d_loss", "d_real", "d_fake", "d_smooth", "g_loss", "g_adv", "g_content", "g_gray", "g_color", "g_tv"}


def test_visualdl_has_every_loss_by_name_at_its_step(whole):
    rows = training_runs.metrics(whole[1])
    for name in TERMS | {"learning_rate", "images_per_second"}:
        wanted = [(row["step"], np.float32(row[name])) for row in rows if name in row]
        assert wanted[-1][0] == 12
        assert [(step, np.float32(value)) for step, value in training_runs.curve(whole[1], name)] == wanted


def test_visualdl_has_the_sample_grids_and_the_config(whole):
    reader = LogReader(file_path=str(whole[1] / VISUALDL))
    grids = reader.get_data("image", "samples")
    assert [grid.id for grid in grids] == [0, 3, 5, 6, 9, 10, 12]  # every 5 steps, and after each epoch of 3
    for grid in grids:
        logged = np.asarray(Image.open(io.BytesIO(grid.image.encoded_image_string)))
        saved = np.asarray(Image.open(whole[1] / "samples" / f"step_{grid.id:08d}.png"))
        np.testing.assert_array_equal(logged, saved)
    first, last = (Image.open(whole[1] / "samples" / f"step_{step:08d}.png") for step in (0, 12))
    assert first.size == last.size == (2 * 64 + 3 * 8, 32 + 2 * 8)  # two photos, each beside its cartoon
    assert first.tobytes() != last.tobytes()
    (text,) = reader.get_data("text", "config")
    assert "adv_weight: 300" in text.text.encoded_text_string


def monitor(folder, step):
    return TrainingLogger(folder, step, visualdl=True)


def test_new_run_clears_the_log_and_resumed_run_replaces_the_config_text(tmp_path):
    for step in (0, 0, 5, 5):
        log = monitor(tmp_path, step)
        log.text(step, "config", f"of step {step}")
        log.scalars(step + 1, {"g_loss": 1.0})
        log.close()
    texts = LogReader(file_path=str(tmp_path / VISUALDL)).get_data("text", "config")
    assert [(text.id, text.text.encoded_text_string) for text in texts] == [(0, "of step 0"), (5, "of step 5")]
    assert training_runs.curve(tmp_path, "g_loss") == [(1, 1.0), (6, 1.0)]


def test_visualdl_tells_runs_of_the_same_name_apart(tmp_path):
    from visualdl.reader.reader import LogReader
    from visualdl.server import lib

    for n, folder in enumerate(("a/demo", "b/demo")):
        (tmp_path / folder).mkdir(parents=True)
        with contextlib.closing(monitor(tmp_path / folder, 0)) as run:
            run.scalars(1, {"g_loss": float(n)})
    pages = lib.get_logs(LogReader(str(tmp_path)), "scalar")
    assert sorted(pages["runs"]) == [str(tmp_path / "a/demo"), str(tmp_path / "b/demo")]


def test_resumed_run_removes_entries_after_its_checkpoint_and_appends_to_the_same_files(tmp_path):
    first = monitor(tmp_path, 0)
    for step in range(1, 8):
        first.scalars(step, {"g_loss": float(step)}, stage="init")
    first.close()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 8, "g_l')
    with open(tmp_path / VISUALDL, "ab") as file:
        file.write(b"\xff" * 11)  # incomplete, with a huge length
    second = monitor(tmp_path, 5)
    second.scalars(6, {"g_loss": 60.0})
    second.close()
    wanted = [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.0), (6, 60.0)]
    assert training_runs.curve(tmp_path, "g_loss") == wanted
    assert [(row["step"], row["g_loss"]) for row in training_runs.metrics(tmp_path)] == wanted


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_incomplete_record_is_removed(tmp_path, cut):
    log = monitor(tmp_path, 0)
    for step in (1, 2, 3):
        log.scalars(step, {"g_loss": float(step)})
    log.close()
    data = (tmp_path / VISUALDL).read_bytes()
    (tmp_path / VISUALDL).write_bytes(data[:-cut])
    cut_records(tmp_path / VISUALDL, 9)
    found = training_runs.curve(tmp_path, "g_loss")
    assert 1 <= len(found) < 3 and found == [(1, 1.0), (2, 2.0)][: len(found)]


@pytest.fixture
def server(whole):
    """Address of VisualDL's server for the folder above the run."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    program = str(Path(sys.executable).with_name("visualdl"))
    arguments = ["--logdir", str(whole[1].parent), "--host", "127.0.0.1", "--port", str(port), "--disable-telemetry"]
    process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


@pytest.fixture
def browser(tmp_path):
    with browsing(tmp_path) as driver:
        yield driver


INK = """
    const canvas = arguments[0], {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let n = 0;
    for (let i = 0; i < data.length; i += 4) n += data[i + 3] > 0 && data[i + 2] > data[i] + 60;
    return n;
"""


@needs_browser
def test_visualdl_s_page_shows_the_curves(server, browser):
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    wait = WebDriverWait(browser, 90, ignored_exceptions=[WebDriverException])  # until the server is up, and the page

    def open_page(driver):
        driver.get(f"{server}/app/scalar")
        return "VisualDL" in driver.title

    wait.until(open_page)

    def charts(count):
        wait.until(lambda driver: len(driver.find_elements(By.TAG_NAME, "canvas")) == count)
        return browser.find_elements(By.TAG_NAME, "canvas")

    wait.until(lambda driver: "terms" in driver.find_element(By.TAG_NAME, "body").text.split())
    shown = charts(3)  # d_loss, g_loss and the learning rate: the group that is open already
    browser.find_element(By.XPATH, "//*[text()='terms']").click()
    shown += charts(3 + len(TERMS - {"d_loss", "g_loss"}))[3:5]
    for canvas in shown:
        wait.until(lambda driver, canvas=canvas: driver.execute_script(INK, canvas) > 100)  # pixels of a blue line
    body = browser.find_element(By.TAG_NAME, "body").text.split()
    groups = [(body[i], body[i + 1]) for i in (body.index(name) for name in ("main", "other", "terms"))]
    assert groups == [("main", "3"), ("other", "1"), ("terms", "8")]
    assert "tiny" in " ".join(body)  # the run, by its folder's name


def test_page_opens_on_the_losses_of_d_and_g_and_the_rate():
    tags = sorted(map(tag, TERMS | {"learning_rate", "images_per_second", "fid_content"}))
    assert tags[:3] == ["main/d_loss", "main/g_loss", "main/learning_rate"]
    assert tags[3:5] == ["other/fid_content", "other/images_per_second"] and "terms/g_content" in tags
