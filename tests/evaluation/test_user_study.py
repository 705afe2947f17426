"""The folder of a study, its votes, and the report on them."""

import csv
import math
import shutil
import sqlite3
import threading
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from ppcartoon import InputError
from ppcartoon.cli.study import main
from ppcartoon.evaluation.user_study import report
from ppcartoon.evaluation.user_study.material import read
from ppcartoon.evaluation.user_study.votes import Vote, Votes, load
from tests.helpers.folders import save
from tests.helpers.studies import COLORS, image, write_study

METHODS = list(COLORS)


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "study")


def open_votes(study):
    return Votes(study / "votes.sqlite", read(study)[0])


def vote_all(votes, voter, method, limit=100):
    """Votes on all sets that the voter is shown; returns their number."""
    count = 0
    while shown := votes.current_set(voter, limit):
        votes.cast(voter, shown, method)
        count += 1
    return count


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda s: (s / "shinkai/CycleGAN/1.png").unlink(), "shinkai/CycleGAN: no output for 1.png"),
        (
            lambda s: save(s / "paprika/CartoonGAN/0.png", image((0, 0, 0), 0, 12, 36)),
            "paprika/CartoonGAN/0.png: 36x12 pixels, but its photo has 36x24",
        ),
        (lambda s: (s / "photos/2.png").write_bytes(b"no image"), "photos/2.png: not an image that can be read here"),
        (
            lambda s: shutil.copy(s / "photos/2.png", s / "photos/2.bmp"),
            "photos: 2.bmp and 2.png differ in their extensions only",
        ),
        (lambda s: shutil.rmtree(s / "photos"), "photos: no such folder; beside it are paprika, shinkai"),
        (lambda s: shutil.rmtree(s / "shinkai/CycleGAN") or (s / "shinkai/CycleGAN").mkdir(), "CycleGAN: no image in"),
        (
            lambda s: [shutil.rmtree(s / "shinkai" / m) for m in METHODS[1:]],
            "shinkai: a style needs folders of at",
        ),
        (lambda s: [shutil.rmtree(s / name) for name in ("paprika", "shinkai")], "study: no style next to photos"),
        (
            lambda s: (s / "shinkai/CycleGAN").rename(s / "shinkai/Cycle\nGAN"),
            "its name contains characters that cannot be",
        ),
    ],
)
def test_invalid_study_folder_is_reported_before_serving(study, capsys, damage, message):
    damage(study)
    assert main(["serve", str(study)]) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and any(message in line for line in lines) and len(lines) <= 2
    assert all(line.startswith("ppcartoon study: ") for line in lines) and not (study / "votes.sqlite").exists()


def test_first_ten_problems_are_listed_and_the_rest_is_counted(tmp_path, capsys):
    study = write_study(tmp_path, photos=13)
    for path in (study / "shinkai/CycleGAN").glob("[1-9]*.png"):
        path.unlink()
    assert main(["serve", str(study)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11 and lines[-1] == "ppcartoon study: and 2 more like these"
    assert lines[0].endswith("shinkai/CycleGAN: no output for 1.png")


def test_other_formats_links_and_hidden_folders_are_accepted(study, tmp_path):
    outside = tmp_path / "outputs"
    (study / "shinkai/CycleGAN").rename(outside)
    (study / "shinkai/CycleGAN").symlink_to(outside)
    save(outside / "of_no_photo.png", image((0, 0, 0), 0, 5, 5))
    Image.open(outside / "0.png").save(outside / "0.bmp")
    (outside / "0.png").unlink()
    (study / "_old").mkdir()
    (study / "shinkai/.thumbnails").mkdir()
    material, problems = read(study)
    assert problems == [] and list(material.outputs) == ["paprika", "shinkai"]
    assert material.file("shinkai", "0", "CycleGAN").name == "0.bmp" and material.file("shinkai", "0", "") in [
        study / "photos/0.png"
    ]
    assert len(material.checksums) == 3 + 2 * 3 * 3 and material.sizes["0"] == (24, 36)


def test_set_stays_current_until_its_vote_and_only_the_first_vote_counts(study):
    votes = open_votes(study)
    first = votes.current_set("ann", 2)
    assert [votes.current_set("ann", 2) for _ in range(3)] == [first] * 3 and votes.shown_sets("ann") == [first]
    votes.cast("ann", first, "CycleGAN")
    votes.cast("ann", first, "AnimeGAN")
    votes.cast("bob", first, "AnimeGAN")  # was not shown this set
    following = votes.current_set("ann", 2)
    assert following.id != first.id and votes.shown_sets("ann") == [first, following]
    votes.cast("ann", following, "CartoonGAN")
    assert votes.current_set("ann", 2) is None and votes.count() == votes.count("ann") == 2
    votes.close()
    assert [(v.voter, v.method) for v in load(study / "votes.sqlite")[1]] == [(1, "CycleGAN"), (1, "CartoonGAN")]


def test_sets_get_equally_many_votes_even_if_voters_leave(study):
    votes = open_votes(study)
    for number in range(25):
        assert vote_all(votes, f"voter {number}", "CycleGAN", 4) == 4
        votes.current_set(f"passer-by {number}", 4)
    counts = Counter((v.style, v.photo) for v in load(study / "votes.sqlite")[1])
    assert len(counts) == 6 and max(counts.values()) - min(counts.values()) <= 1
    assert vote_all(votes, "eager", "CycleGAN") == 6  # each set once
    votes.close()


def test_simultaneous_votes_are_each_kept_once(study):
    servers = open_votes(study), open_votes(study)
    failures = []

    def work(number):
        try:
            vote_all(servers[number % 2], f"voter {number % 6}", METHODS[number % 6 % 3])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(18)]  # three threads per voter
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for votes in servers:
        votes.close()
    assert failures == []
    found = load(study / "votes.sqlite")[1]
    assert Counter(v.voter for v in found) == dict.fromkeys(range(1, 7), 6)
    assert Counter(v.method for v in found) == dict.fromkeys(METHODS, 12)
    assert len({(v.voter, v.style, v.photo) for v in found}) == 36


def test_votes_cannot_be_reopened_after_images_changed(study):
    votes = open_votes(study)
    secret, first = votes.secret, votes.current_set("ann", 5)
    votes.close()
    again = open_votes(study)
    assert again.secret == secret and again.current_set("ann", 5) == first
    again.close()
    path = study / "shinkai/CycleGAN/1.png"
    before = path.read_bytes()
    save(path, image((1, 2, 3), 1))
    with pytest.raises(InputError, match=r"shinkai/CycleGAN/1\.png changed since; move the file away to start again"):
        open_votes(study)
    path.write_bytes(before)
    for name in ("photos", *(f"{style}/{method}" for style in ("paprika", "shinkai") for method in METHODS)):
        shutil.copy(study / name / "2.png", study / name / "3.png")
    with pytest.raises(InputError, match=r"paprika/AnimeGAN/3\.png and 6 more changed since"):
        open_votes(study)


@pytest.mark.parametrize("command", ["serve", "report"])
def test_file_that_is_not_a_votes_database_gives_an_error_and_is_not_changed(study, capsys, command):
    path = study / "votes.sqlite"

    def refused():
        arguments = ["serve", "--port", "0"] if command == "serve" else ["report", "-o", str(study.parent / "out")]
        assert main([*arguments, str(study)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    path.write_bytes(b"notes, no votes" * 50)
    assert "file is not a database" in refused() and path.read_bytes() == b"notes, no votes" * 50
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE songs (name)")
    other.close()
    assert "no such table" in refused()
    path.unlink()
    if command == "report":
        assert "votes.sqlite: no such file" in refused()
        open_votes(study).close()
        assert refused() == "ppcartoon study: no votes yet"
    assert not (study.parent / "out").exists()


def votes_of(counts, style="shinkai", first=1):
    """Votes of one voter per row of `counts`, which says how often the voter chose each method."""
    return [
        Vote(first + i, style, str(n), method, "2026-01-01T00:00:00+00:00")
        for i, row in enumerate(counts)
        for method, times in zip(METHODS, row)
        for n in range(times)
    ]


def test_shares_and_wilson_intervals_equal_the_formulas():
    rows = report.shares("shinkai", METHODS, votes_of([(3, 1, 0), (2, 2, 0)]))
    assert [(row.method, row.votes, row.share) for row in rows] == [
        ("AnimeGAN", 5, 0.625), ("CartoonGAN", 3, 0.375), ("CycleGAN", 0, 0),
    ]  # fmt: skip
    z, n = 1.959963984540054, 8
    for row in rows:
        p = row.share
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        assert row.wilson == pytest.approx([(middle + sign * half) / (1 + z * z / n) for sign in (-1, 1)], abs=1e-9)


def test_consistent_voters_widen_the_interval_by_voters():
    stubborn = report.shares("shinkai", METHODS, votes_of([(20, 0, 0)] * 6 + [(0, 20, 0)] * 6))[0]
    alike = report.shares("shinkai", METHODS, votes_of([(10, 10, 0)] * 12))[0]
    assert alike.by_voters == (0.5, 0.5) and alike.wilson == stubborn.wilson
    assert alike.interval == alike.wilson and stubborn.interval == stubborn.by_voters
    assert stubborn.by_voters[0] < stubborn.wilson[0] - 0.1 and stubborn.by_voters[1] > stubborn.wilson[1] + 0.1


@pytest.mark.parametrize("counts, chi, p", [((4, 4, 4), 0, 1), ((5, 0, 0), 10, 2 / 32), ((1, 6, 2), 14 / 3, 0.29)])
def test_significance_line_has_chi_square_and_binomial_p_values(counts, chi, p):
    line = report.significance(report.shares("shinkai", METHODS, votes_of([counts])), 1)
    assert f"chi-square(2) = {chi:.2f}, p = {math.exp(-chi / 2):.2g};" in line
    assert line.endswith(f"exact binomial p = {p:.2g}")


def test_report_combines_styles_that_have_the_same_methods(tmp_path):
    votes = votes_of([(4, 1, 1)], "paprika") + votes_of([(1, 2, 3)], first=2)
    lines = report.report({"paprika": METHODS, "shinkai": METHODS}, votes, tmp_path)
    assert any(line.startswith("| all styles | AnimeGAN | 5 | 41.7 % |") for line in lines)
    assert any(line.startswith("- all styles: 12 votes of 2 voters") for line in lines)
    assert (tmp_path / "report.md").read_text().splitlines() == lines
    with open(tmp_path / "shares.csv", newline="") as file:
        assert [(r["style"], r["method"], int(r["votes"])) for r in csv.DictReader(file)] == [
            *zip(["paprika"] * 3, METHODS, (4, 1, 1)), *zip(["shinkai"] * 3, METHODS, (1, 2, 3)),
            *zip(["all styles"] * 3, METHODS, (5, 3, 4)),
        ]  # fmt: skip
    with open(tmp_path / "votes.csv", newline="") as file:
        assert [tuple(row) for row in csv.reader(file)][1:] == [tuple(map(str, vote)) for vote in votes]
    apart = report.report({"paprika": METHODS, "shinkai": METHODS[1:]}, votes[:6], tmp_path)
    assert "all styles" not in "".join(apart) and "shinkai" not in "".join(apart)


def test_chart_bars_are_proportional_to_the_shares():
    rows = report.shares("shinkai", METHODS, votes_of([(8, 2, 6)] * 3)) + report.shares(
        "paprika", METHODS, votes_of([(8, 2, 6)], "paprika")
    )
    rgb = report.chart(rows)[150:].astype(int)  # without the legend
    areas = []
    for color in ((31, 119, 180), (255, 127, 14), (44, 160, 44)):  # matplotlib's first three colors
        areas.append(np.count_nonzero(np.abs(rgb - color).sum(-1) < 12))
    assert np.array(areas) / sum(areas) == pytest.approx([0.5, 0.125, 0.375], abs=0.02)


def test_unwritable_report_folder_gives_one_line(study, tmp_path, capsys):
    votes = open_votes(study)
    vote_all(votes, "ann", "CycleGAN")
    votes.close()
    (tmp_path / "file").touch()
    assert main(["report", str(study), "-o", str(tmp_path / "file")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"ppcartoon study: {tmp_path / 'file'}: a file is there, where a folder is needed"
