"""The sections of `tools/benchmark.py infer`, each with a tiny network: what is compared, and what is printed."""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import common, engines, folder, harness, inference, tiles, video
from benchmarks.common import Subject
from ppcartoon import images
from ppcartoon.errors import InputError
from ppcartoon.inference import engines as inference_engines
from ppcartoon.inference.engines.onnx_engines import has_bf16
from ppcartoon.inference.tiling import spans
from tests.helpers.samples import photo

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def subject(tiny_file):
    return Subject("tiny", tiny_file)


def benchmark(*options):
    command = [sys.executable, "tools/benchmark.py", "infer", "--rounds", "2", "--threads", "1", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def cells(lines):
    """Rows of the tables in the lines, without their heads."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    heads = [i for i, row in enumerate(rows) if row[0] == "---"]
    return [row for i, row in enumerate(rows) if i not in heads and i + 1 not in heads]


def first(cell):
    return float(cell.split()[0])


def test_engines_and_a_rival_are_compared_at_each_size_and_batch(tiny_file):
    names = ("onnx", "paddle-dygraph", "plain-onnx")
    options = ("--only", "engines", "--weights", tiny_file, "--sizes", 64, "--batches", 1, 2, "--engines", *names)
    done = benchmark(*options)
    assert done.returncode == 0, done.stderr
    rows = cells(done.stdout.splitlines())
    assert [row[0].split(" on ")[0] for row in rows] == ["ONNX Runtime", "Paddle dygraph", common.PLAIN] * 2
    assert [row[1:3] for row in rows] == [["64x64", batch] for batch in "111222"]
    for ours, eager, plain in (rows[:3], rows[3:]):
        assert plain[5] == "1.00 (1.00 to 1.00)"
        assert first(ours[5]) > first(eager[5]) > 0
    for _, _, _, ms, rate, _, memory in rows:
        assert float(rate) * first(ms) / 1000 == pytest.approx(1, rel=0.02)
        assert 50 < first(memory) < 4000


def test_the_start_is_a_difference_and_memory_a_row_for_each_total(tiny_file):
    done = benchmark("--only", "start", "memory", "--weights", tiny_file, "--images", 4)
    assert done.returncode == 0, done.stderr
    cold, warm, start, *memory = cells(done.stdout.splitlines())
    assert first(start[1]) == pytest.approx(first(cold[1]) - first(warm[1]), abs=0.02)
    assert first(start[1]) > 0.1
    assert [row[0] for row in memory] == ["1", "2", "3", "4"]
    assert all(50 < first(row[1]) < 4000 for row in memory)
    assert [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("(")] == ["(start", "(memory"]


@pytest.mark.parametrize(
    "options",
    [("--sizes", "13"), ("--batches", "0"), ("--megapixels", "0"), ("--megapixels", "nan"), ("--weights", "none")],
)
def test_a_bad_option_is_one_line(options):
    done = benchmark(*options)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("benchmark: ") and options[0].strip("-").replace("weights", "none") in line


def test_the_long_form_sets_what_takes_long(monkeypatch, tiny_file):
    parser = argparse.ArgumentParser()
    inference.add_options(parser)
    args = parser.parse_args(["--long", "--only", "memory", "--weights", str(tiny_file)])
    args.rounds = args.threads = 1
    monkeypatch.setitem(inference.SECTIONS, "memory", lambda a, _: [f"{a.images} {max(a.megapixels):g}"])
    assert next(inference.measure(args)) == "5000 64"


def test_bf16_is_measured_where_the_cpu_has_it(subject):
    assert ("openvino-bf16" in engines._possible(1)) == has_bf16()
    if has_bf16():
        assert all(35 < value < 90 for value in engines._agreement("openvino-bf16", subject, 1))
    assert min(engines._agreement("onnx", subject, 1)) == np.inf


def test_the_plain_rival_runs_the_same_network(subject, tmp_path):
    batch = images.to_network(np.stack([photo(64, 96), photo(64, 96, 3)]))
    ours = inference_engines.create(subject.weights(), "onnx", "cpu", 1)
    assert np.abs(common.plain(common.write_onnx(subject, tmp_path, 1), 1)(batch) - ours(batch)).max() < 1e-5


def test_paddlegan_s_network_gets_images_as_its_predictor_resizes_them():
    batch = images.to_network(photo(100, 300)[None])
    assert common.paddlegan()(batch).shape == (1, 3, 256, 288)


def test_a_folder_and_plain_onnx_runtime_make_the_same_cartoons(subject, tmp_path, monkeypatch):
    folder.write_photos(tmp_path / "photos", 5, 48, 64, 1)
    files = sorted((tmp_path / "photos").iterdir())
    assert len({file.read_bytes() for file in files}) == 5
    once = folder._file_by_file(files, common.write_onnx(subject, tmp_path, 1), 1)
    once(tmp_path / "plain")
    folder._as_folder(subject.predictor(1), tmp_path / "photos")(tmp_path / "ours")
    for file in files:
        ours, plain, source = (images.read(tmp_path / name / file.name).rgb for name in ("ours", "plain", "photos"))
        assert common.psnr(ours, plain) > 30 > common.psnr(ours, source)

    for name, value in {"COUNT": 3, "HEIGHT": 48, "WIDTH": 64}.items():
        monkeypatch.setattr(folder, name, value)
    rows = cells(folder.measure(subject, 1, 1))
    assert [row[0] for row in rows] == list(folder.NAMES)
    assert rows[1][3] == rows[2][4] == "1.00 (1.00 to 1.00)"
    assert first(rows[0][3]) == pytest.approx(first(rows[1][1]) / first(rows[0][1]), rel=0.02)


def test_tiles_are_compared_with_the_whole_and_sizes_measured(subject, monkeypatch):
    monkeypatch.setattr(tiles, "SIDE", 600)
    size, *seams = cells(tiles.measure(subject, [0.02], 1, 1))
    assert size[:2] == ["0.02 MP, 164x122", "none, whole"]
    assert first(size[3]) == pytest.approx(first(size[2]) / 0.02, rel=0.02)
    assert 50 < first(size[4]) < 4000
    for row in seams:
        assert 25 < float(row[1]) < 80
        assert 0.5 < first(row[2]) < 2


def test_gradients_are_those_across_the_borders_of_tiles():
    image = np.zeros((1100, 1100, 3), np.uint8)
    lines = [span.low for span in spans(1100, tiles.TILE)][1:]
    image[:, lines[1] :] = 10
    assert len(lines) == 2
    assert tiles._gradients(image) == [0, 0, 0, 10]


def test_the_mosaic_has_as_many_different_parts_and_none_ends_at_a_tile():
    image = common.mosaic(tiles.CELLS, tiles.SIDE)
    assert image.shape == (tiles.SIDE, tiles.SIDE, 3)
    steps = np.abs(np.diff(image.astype(int), axis=1)).mean((0, 2))
    borders = set(np.flatnonzero(steps > 4 * np.median(steps)) + 1)
    assert len(borders) == tiles.CELLS - 1
    assert not borders & {span.low for span in spans(tiles.SIDE, tiles.TILE)}


def test_scenes_move_as_is_known_and_change_by_their_noise_alone(monkeypatch):
    noise = 2 * common.NOISE / np.pi**0.5  # mean absolute difference of two frames
    still, pan = (common.scene_frames(kind, 4, 360, 640) for kind in (common.STILL, common.PAN))
    assert video.changes(still, 0) == pytest.approx([noise] * 3, rel=0.1)
    assert max(video.changes(pan, common.SHIFT)) < 1.1 * noise < min(video.changes(pan, 1 + common.SHIFT))
    monkeypatch.setattr(common, "NOISE", 0)
    still, pan, fade = (common.scene_frames(kind, 4, 360, 640) for kind in (common.STILL, common.PAN, common.FADE))
    assert max(video.changes(still, 0)) == 0
    assert max(video.changes(pan, common.SHIFT)) < 1 < min(video.changes(pan, 0))
    assert max(video.jumps(fade)) < 0.6 < 3 < min(video.changes(fade, 0))


def test_a_film_s_rate_is_compared_with_the_engine_s_and_steady_films_flicker_less(subject, monkeypatch):
    for name, value in {"COUNT": 6, "HEIGHT": 64, "WIDTH": 96}.items():
        monkeypatch.setattr(video, name, value)
        monkeypatch.setattr(video, f"SCENE_{'FRAMES' if name == 'COUNT' else name}", value)
    rows = cells(video.measure(subject, 1, 1))
    assert [row[0] for row in rows] == list(video.NAMES)
    assert rows[-1][3] == "1.00 (1.00 to 1.00)"
    rows = cells(video.measure_flicker(subject, 1))
    assert [row[0].split(",")[0] for row in rows] == [common.STILL, common.PAN, common.FADE, common.FADE]
    for _, film_itself, alone, steady, times in rows:
        assert first(film_itself) > 1 and first(alone) > first(steady)
        assert first(times) == pytest.approx(first(alone) / first(steady), rel=0.2)


def _broken(threads):
    def turn():
        raise InputError("no more")

    return None, turn


def test_what_goes_wrong_in_a_turn_is_told():
    with pytest.raises(InputError, match="no more"):
        harness.take(_broken, [(1,)], 1)


def test_numbers_and_ratios():
    numbers = {0.020714: "0.0207", 1: "1.00", -12.34: "-12.3", 99.96: "100", 123.4: "123", 48350: "48350"}
    assert [common.number(x) for x in numbers] == list(numbers.values())
    assert common.ratios([2, 6, 9], [1, 2, 9]) == "2.00 (1.00 to 3.00)"
