"""The sections of `tools/benchmark.py infer` with a tiny network: what they compare and print."""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import common, engines, folder, harness, inference, tiles, video, working_size
from benchmarks.common import Style
from ppcartoon import images
from ppcartoon.errors import InputError
from ppcartoon.inference import engines as inference_engines
from ppcartoon.inference.engines.onnx_engines import has_bf16, has_vnni
from ppcartoon.inference.tiling import spans
from tests.helpers.samples import photo

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def style(tiny_file):
    return Style("tiny", tiny_file)


def benchmark(*options):
    command = [sys.executable, "tools/benchmark.py", "infer", "--rounds", "2", "--threads", "1", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def rows_of(lines):
    """The rows of all Markdown tables in the lines, without the headers."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    rules = [i for i, row in enumerate(rows) if row[0] == "---"]
    return [row for i, row in enumerate(rows) if i not in rules and i + 1 not in rules]


def number(cell):
    return float(cell.split()[0])


def test_engines_and_a_reference_are_compared_at_each_size_and_batch(tiny_file):
    names = ("onnx", "paddle-dygraph", "plain-onnx")
    options = ("--only", "engines", "--weights", tiny_file, "--sizes", 64, "--batches", 1, 2, "--engines", *names)
    done = benchmark(*options)
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout.splitlines())
    assert [row[0].split(" on ")[0] for row in rows] == ["ONNX Runtime", "Paddle dygraph", common.PLAIN] * 2
    assert [row[1:3] for row in rows] == [["64x64", batch] for batch in "111222"]
    for ours, eager, plain in (rows[:3], rows[3:]):
        assert plain[5] == "1.00 (1.00 to 1.00)"
        assert number(ours[5]) > number(eager[5]) > 0
    for _, _, _, ms, rate, _, memory in rows:
        assert float(rate) * number(ms) / 1000 == pytest.approx(1, rel=0.02)
        assert 50 < number(memory) < 4000


def test_startup_is_a_difference_and_memory_has_a_row_per_total(tiny_file):
    done = benchmark("--only", "start", "memory", "--weights", tiny_file, "--images", 4)
    assert done.returncode == 0, done.stderr
    start, memory = (rows_of(section.splitlines()) for section in done.stdout.split("(start: "))
    assert [row[0] for row in start] == ["default", "onnx"]
    for _, cold, warm, startup in start:
        assert number(startup) == pytest.approx(number(cold) - number(warm), abs=0.02)
        assert number(startup) > 0.1
    assert [row[0] for row in memory] == ["1", "2", "3", "4"]
    assert all(50 < number(row[1]) < 4000 for row in memory)
    assert [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("(")] == ["(start", "(memory"]


@pytest.mark.parametrize(
    "options",
    [("--sizes", "13"), ("--batches", "0"), ("--megapixels", "0"), ("--megapixels", "nan"), ("--weights", "none")],
)
def test_invalid_option_gives_a_one_line_error(options):
    done = benchmark(*options)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("benchmark: ") and options[0].strip("-").replace("weights", "none") in line


def test_long_option_sets_sizes_and_counts(monkeypatch, tiny_file):
    parser = argparse.ArgumentParser()
    inference.add_options(parser)
    args = parser.parse_args(["--long", "--only", "memory", "--weights", str(tiny_file)])
    args.rounds = args.threads = 1
    monkeypatch.setitem(inference.SECTIONS, "memory", lambda args, style: [f"{args.images} {max(args.megapixels):g}"])
    assert next(inference.measure(args)) == "5000 64"


def test_bf16_is_measured_if_the_cpu_supports_it(style):
    assert ("openvino-bf16" in engines._supported(style)) == has_bf16()
    if has_bf16():
        assert all(35 < value < 90 for value in engines._psnr_to_fp32("openvino-bf16", style, 1))
    assert min(engines._psnr_to_fp32("onnx", style, 1)) == np.inf


def test_int8_is_measured_if_the_cpu_has_vnni_and_the_style_is_calibrated(style):
    assert "openvino-int8" not in engines._supported(style)
    shipped = common.Style("peppercarrot")
    assert ("openvino-int8" in engines._supported(shipped)) == has_vnni()
    assert all(36 < value < 60 for value in engines._psnr_to_fp32("openvino-int8", shipped, 2))


def test_plain_onnx_runtime_runs_the_same_network(style, tmp_path):
    batch = images.to_network(np.stack([photo(64, 96), photo(64, 96, 3)]))
    ours = inference_engines.create(style.load(), "onnx", "cpu", 1)
    assert np.abs(common.plain_onnx_runtime(common.write_onnx(style, tmp_path), 1)(batch) - ours(batch)).max() < 1e-5


def test_paddlegan_network_runs_at_the_size_that_its_predictor_resizes_to():
    batch = images.to_network(photo(100, 300)[None])
    assert common.paddlegan_network()(batch).shape == (1, 3, 256, 288)


def test_whole_folder_and_plain_onnx_runtime_make_the_same_cartoons(style, tmp_path, monkeypatch):
    folder.write_photos(tmp_path / "photos", 5, 48, 64)
    files = sorted((tmp_path / "photos").iterdir())
    assert len({file.read_bytes() for file in files}) == 5
    folder._file_by_file(files, common.write_onnx(style, tmp_path), 1)(tmp_path / "plain")
    folder._whole_folder(style.predictor(1), tmp_path / "photos")(tmp_path / "ours")
    for file in files:
        ours, plain, source = (images.read(tmp_path / name / file.name).rgb for name in ("ours", "plain", "photos"))
        assert images.psnr(ours, plain) > 30 > images.psnr(ours, source)

    for name, value in {"COUNT": 3, "HEIGHT": 48, "WIDTH": 64}.items():
        monkeypatch.setattr(folder, name, value)
    rows = rows_of(folder.measure(style, 1, 1))
    assert [row[0] for row in rows] == list(folder.NAMES)
    assert rows[1][3] == rows[2][4] == "1.00 (1.00 to 1.00)"
    assert number(rows[0][3]) == pytest.approx(number(rows[1][1]) / number(rows[0][1]), rel=0.02)


def test_photo_sizes_are_measured_and_tiled_cartoons_compared_with_untiled_ones(style, monkeypatch):
    monkeypatch.setattr(tiles, "SIDE", 600)
    size, *seams = rows_of(tiles.measure(style, [0.02], 1, 1))
    assert size[:2] == ["0.02 MP, 164x122", "no tiles"]
    assert number(size[3]) == pytest.approx(number(size[2]) / 0.02, rel=0.02)
    assert 50 < number(size[4]) < 4000
    for row in seams:
        assert 25 < float(row[1]) < 80
        assert 0.5 < number(row[2]) < 2


def test_gradients_are_measured_at_tile_borders():
    image = np.zeros((1100, 1100, 3), np.uint8)
    borders = [span.low for span in spans(1100, tiles.TILE)][1:]
    image[:, borders[1] :] = 10
    assert len(borders) == 2
    assert tiles._border_gradients(image) == [0, 0, 0, 10]


def test_mosaic_has_all_its_parts_and_no_part_ends_at_a_tile_border():
    image = common.mosaic(tiles.CELLS, tiles.SIDE)
    assert image.shape == (tiles.SIDE, tiles.SIDE, 3)
    steps = np.abs(np.diff(image.astype(int), axis=1)).mean((0, 2))
    borders = set(np.flatnonzero(steps > 4 * np.median(steps)) + 1)
    assert len(borders) == tiles.CELLS - 1
    assert not borders & {span.low for span in spans(tiles.SIDE, tiles.TILE)}


def test_video_frames_move_by_the_known_shift_and_differ_only_by_noise(monkeypatch):
    noise = 2 * common.NOISE / np.pi**0.5  # mean absolute difference of two frames
    still, pan = (common.video_frames(kind, 4, 360, 640) for kind in (common.STILL, common.PAN))
    assert video.frame_changes(still, 0) == pytest.approx([noise] * 3, rel=0.1)
    assert max(video.frame_changes(pan, common.SHIFT)) < 1.1 * noise < min(video.frame_changes(pan, 1 + common.SHIFT))
    monkeypatch.setattr(common, "NOISE", 0)
    still, pan, fade = (common.video_frames(kind, 4, 360, 640) for kind in (common.STILL, common.PAN, common.FADE))
    assert max(video.frame_changes(still, 0)) == 0
    assert max(video.frame_changes(pan, common.SHIFT)) < 1 < min(video.frame_changes(pan, 0))
    assert max(video.neighbor_changes(fade)) < 0.6 < 3 < min(video.frame_changes(fade, 0))


def test_video_speed_is_compared_with_the_engine_and_deflickered_videos_flicker_less(style, monkeypatch):
    for name, value in {"COUNT": 6, "HEIGHT": 64, "WIDTH": 96}.items():
        monkeypatch.setattr(video, name, value)
        monkeypatch.setattr(video, f"FLICKER_{name}", value)
    rows = rows_of(video.measure(style, 1, 1))
    assert [row[0] for row in rows] == list(video.NAMES)
    assert rows[-1][3] == "1.00 (1.00 to 1.00)"
    rows = rows_of(video.measure_flicker(style, 1))
    assert [row[0].split(",")[0] for row in rows] == [common.STILL, common.PAN, common.FADE, common.FADE]
    for _, source, frame_by_frame, deflickered, ratio in rows:
        assert number(source) > 1 and number(frame_by_frame) > number(deflickered)
        assert number(ratio) == pytest.approx(number(frame_by_frame) / number(deflickered), rel=0.2)


def _prepare_failing():
    def measure():
        raise InputError("no more")

    return None, measure


def test_error_in_a_measurement_is_raised_in_the_parent():
    with pytest.raises(InputError, match="no more"):
        harness.run(_prepare_failing, [()], 1, threads=1)


def test_formats_of_numbers_and_ratios():
    numbers = {0.020714: "0.0207", 1: "1.00", -12.34: "-12.3", 99.96: "100", 123.4: "123", 48350: "48350"}
    assert [common.format_number(x) for x in numbers] == list(numbers.values())
    assert common.ratio_range([2, 6, 9], [1, 2, 9]) == "2.00 (1.00 to 3.00)"


def test_photo_and_video_are_compared_with_full_resolution(style, monkeypatch):
    for name, value in {"MEGAPIXELS": 0.5, "FRAMES": 3, "HEIGHT": 360, "WIDTH": 480}.items():
        monkeypatch.setattr(working_size, name, value)
    rows = rows_of(working_size.measure(style, ["auto", 64], 1, 1))
    assert [row[0].split(" ")[0] for row in rows] == ["photo"] * 3 + ["frame"] * 3
    assert [row[1] for row in rows[1::3] + rows[2::3]] == ["64", "64", "full", "full"]
    assert all(320 <= int(row[1]) <= 1024 for row in rows[::3])
    assert all(row[3].startswith("1.00 ") for row in rows[2::3])
