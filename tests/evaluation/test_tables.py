"""Tables I and II: published values, measured distances, and when they may be compared."""

import csv
import re
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from ppcartoon.cli import evaluate
from ppcartoon.data.samples import draw_cartoon
from ppcartoon.evaluation import tables
from ppcartoon.evaluation.fid import Kid
from tests.helpers.folders import drawn, save

TABLES = {
    "shinkai": """
        Content Images	135.82	N/A
        CycleGAN [9]	108.29	91.95
        CartoonGAN [1]	117.62	58.71
        AnimeGAN [22]	116.33	77.36
        CartoonLossGAN	118.79	53.95""",
    "paprika": """
        Content Images	174.27	N/A
        CycleGAN [9]	122.60	141.39
        CartoonGAN [1]	143.98	107.81
        AnimeGAN [22]	150.71	95.67
        CartoonLossGAN	147.88	79.95""",
}  # as printed
FEATURES = "--features vgg19:conv1_2 --weights-file random --no-cache"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the command line in a folder with photos and cartoons; returns exit code, stdout and stderr."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    drawn(tmp_path, 6, 8)
    for i in range(6):
        save(tmp_path / "painted" / f"{i}.png", draw_cartoon(i, 32))

    def run(command):
        try:
            code = evaluate.main(shlex.split(command))
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    yield run
    signal.signal(signal.SIGTERM, handler)


def read_csv(path):
    with open(path, newline="") as file:
        return {row["Model"]: row for row in csv.DictReader(file)}


def read_markdown(text):
    """Each table as a list of rows of cells, without the alignment row."""
    blocks = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]
    return [[re.split(r" ?\| ?", line)[1:-1] for line in (lines[0], *lines[2:])] for lines in blocks]


def score(frechet, kid=0.5, error=0.25):
    return tables.Score(frechet, Kid(kid, error))


@pytest.mark.parametrize("style", TABLES)
def test_published_values_equal_the_printed_tables(style):
    printed = [re.sub(r" \[\d+\]", "", line).strip().split("\t") for line in TABLES[style].strip().splitlines()]
    first, _ = tables.columns({}, style, "Inception-V3", True)
    shown = {column.header: column.cells() for column in first}
    headers = ("Model", "FID to cartoon images, paper", "FID to content images, paper")
    assert [list(row) for row in zip(*(shown[header] for header in headers))] == printed
    assert shown["FID to cartoon images, ours"] == ["not run"] * 5


def test_published_values_agree_with_the_text_of_the_paper():
    for rows in tables.PAPER.values():
        values = dict(zip(tables.MODELS, rows))
        to_cartoons = {model: value[0] for model, value in values.items()}
        to_content = {model: value[1] for model, value in values.items() if model != tables.CONTENT}
        assert min(to_cartoons, key=to_cartoons.get) == max(to_content, key=to_content.get) == "CycleGAN"
        assert min(to_content, key=to_content.get) == "CartoonLossGAN"
        assert max(to_cartoons, key=to_cartoons.get) == tables.CONTENT


def test_table_shows_fid_the_published_value_and_their_difference():
    scores = {
        "Content Images": (score(140), "N/A"),
        "CartoonLossGAN": (score(118), score(60, kid=0.0125, error=0.00123)),
        "Mine": (score(100), score(50)),
    }
    first, second = tables.columns(scores, "Shinkai", "Inception-V3", True)
    rows = {cells[0]: cells[1:] for cells in zip(*(column.cells() for column in first))}
    assert rows["Content Images"] == ("135.82", "140.00", "+4.18", "N/A", "N/A", "N/A")
    assert rows["CartoonLossGAN"] == ("118.79", "118.00", "-0.79", "53.95", "60.00", "+6.05")
    assert rows["AnimeGAN"] == ("116.33", "not run", "not run", "77.36", "not run", "not run")
    assert rows["Mine"] == ("N/A", "100.00", "N/A", "N/A", "50.00", "N/A")
    headers = [column.header for column in second]
    assert headers[1:3] == ["KID to cartoon images", "KID to cartoon images, standard error"]
    rows = {cells[0]: cells[1:] for cells in zip(*(column.cells() for column in second))}
    assert rows["CartoonLossGAN"] == ("0.5", "0.25", "0.0125", "0.0012")
    first, _ = tables.columns(scores, "hayao", "Inception-V3", True)
    assert [column.header for column in first] == ["Model", "FID to cartoon images", "FID to content images"]


def test_table_of_weights_and_folders(run, tmp_path, tiny_file):
    shutil.copytree("photos", "unchanged")
    methods = f"CartoonLossGAN={tiny_file} cyclegan=unchanged AnimeGAN=painted"
    command = f"table --style own --photos photos --cartoons painted --methods {methods} {FEATURES} -o out"
    code, out, err = run(command)
    assert code == 0, err
    rows = read_csv("out/own.csv")
    assert list(rows) == ["Content Images", "CycleGAN", "CartoonGAN", "AnimeGAN", "CartoonLossGAN"]
    (header, *shown), kernels = read_markdown(Path("out/own.md").read_text())
    network = "VGG19 conv1_2 with random weights"
    assert header == ["Model", *(f"{network} Fréchet distance to {kind} images" for kind in ("cartoon", "content"))]
    assert kernels[0][1] == f"{network} kernel distance to cartoon images"

    def value(model, kind, distance="Fréchet"):
        return float(rows[model][f"{network} {distance} distance to {kind} images"])

    scale = value("Content Images", "cartoon")
    assert value("AnimeGAN", "cartoon") < 1e-6 * scale, "its outputs are the cartoons"
    assert value("CycleGAN", "content") < 1e-6 * scale and value("CycleGAN", "cartoon") == pytest.approx(scale)
    assert value("AnimeGAN", "content") == pytest.approx(scale)
    assert 0 < value("CartoonLossGAN", "content") != value("CartoonLossGAN", "cartoon") > 0
    assert value("AnimeGAN", "cartoon", "kernel") < value("Content Images", "cartoon", "kernel")
    assert {*rows["CartoonGAN"].values()} == {"CartoonGAN", "not run"} and shown[2][1:] == ["not run", "not run"]
    assert shown[0][1:] == [f"{scale:.4g}", "N/A"]
    text = Path("out/own.md").read_text()
    assert out == text and "not FID" in text and "FID" not in text.replace("not FID", "")
    assert f"CartoonLossGAN: {tiny_file}." in text and "6 photos of photos, 6 cartoons of painted" in text

    outputs = sorted(Path("out/outputs").rglob("*.png"))
    assert len(outputs) == 6
    times = [path.stat().st_mtime_ns for path in outputs]
    assert run(command)[:2] == (0, text) and [path.stat().st_mtime_ns for path in outputs] == times


def test_table_of_other_features_shows_published_values_without_a_difference(run):
    command = f"table --style paprika --photos photos --cartoons cartoons --methods CycleGAN=painted {FEATURES} -o out"
    code, out, _ = run(command)
    assert code == 0
    header = read_markdown(out)[0][0]
    network = "VGG19 conv1_2 with random weights"
    assert header[1:3] == ["FID to cartoon images, paper", f"{network} Fréchet distance to cartoon images, ours"]
    assert not any("difference" in column for column in header) and len(header) == 5
    rows = {cells[0]: cells[1:] for cells in read_markdown(out)[0][1:]}
    assert rows["CycleGAN"][::2] == ["122.60", "141.39"] and rows["CartoonLossGAN"][1::2] == ["not run", "not run"]
    assert "the paper's values are on another scale" in out


def test_method_name_with_a_vertical_bar_stays_in_its_cell(run):
    methods = "CycleGAN=painted A$_b^c|d$=photos"
    command = f"table --style own --photos photos --cartoons cartoons --methods {methods} {FEATURES} -o out"
    assert run(command)[0] == 0
    assert read_markdown(Path("out/own.md").read_text().replace("\\|", "/"))[0][-1][0] == "A$_b^c/d$"


def test_photos_are_those_of_256x256_where_the_data_set_has_them(run, tmp_path):
    for name in ("test_photo", "test_photo256"):
        (tmp_path / "data/dataset/test" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/dataset/test" / name).symlink_to(tmp_path / "photos")
        command = f"table --style own --cartoons cartoons --methods A=painted {FEATURES} -o {name}"
        assert run(command)[0] == 0
        assert f" photos of data/dataset/test/{name}, " in Path(name, "own.md").read_text()


@pytest.mark.parametrize(
    "command, message",
    [
        (
            "--style own --methods A=painted --photos photos",
            "--style own: not one of hayao, hosoda, paprika, shinkai; give",
        ),
        (
            "--style a/b --methods A=painted --photos photos --cartoons cartoons",
            "--style a/b: cannot be part of a file",
        ),
        ("--style shinkai --methods A=painted --cartoons cartoons", "data/dataset/test/test_photo: no such folder"),
        ("--style shinkai --methods A=painted --photos photos", "data/dataset/Shinkai/style: no such folder"),
        (
            "--style own --methods A=cartoons --photos photos --cartoons cartoons",
            "8 images of A for 6 photos; keep one",
        ),
        ("--style own --methods A=painted --photos cartoons --cartoons cartoons", "painted: A lacks 2 of 8 outputs"),
        ("--style own --methods A --photos photos --cartoons cartoons", "A: give a method as NAME=PATH"),
        ("--style own --methods A=painted --photos photos --cartoons empty", "empty: no image in it"),
        ("--style own --methods A=painted --photos photos --cartoons one", "at least 2 images, there is 1"),
        ("--style own --photos photos --cartoons cartoons --methods A=one/0.png", "one/0.png: "),
        (
            "--style own --photos photos --cartoons cartoons --methods 'Content images=painted'",
            "Content Images=painted: this row is for the photos",
        ),
        ("--style own --photos photos --cartoons cartoons --methods A=painted --features vgg19:conv9", "conv9"),
        (
            "--style own --photos photos --cartoons cartoons --methods A=painted -o one/0.png",
            "one/0.png: a file is there",
        ),
        ("--style own --photos photos --cartoons cartoons", "the following arguments are required: --methods"),
    ],
)
def test_invalid_table_command_gives_one_line_and_writes_nothing(run, tmp_path, command, message):
    (tmp_path / "empty").mkdir()
    save(tmp_path / "one/0.png", draw_cartoon(0, 32))
    code, out, err = run(f"table {FEATURES} -o out {command}")
    assert code == 2 and out == "" and message in err.splitlines()[-1]
    assert err.count("\n") == 1 or err.startswith("usage: ")
    assert not list(tmp_path.glob("out/*.*"))
