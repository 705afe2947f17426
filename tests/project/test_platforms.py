"""Cartoons, page, export and evaluation where our code finds only what Windows has: see `tests.helpers.windows`."""

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ppcartoon import images
from tests.helpers import folders, videos, windows
from tests.helpers.samples import photo

ROOT = Path(__file__).parents[2]
GUARDED = {  # names of POSIX alone in our code: where they are looked for first, and in workers of training
    ("utils/files", "getuid"), ("utils/signals", "SIGKILL"), ("utils/signals", "SIGCHLD"),
}  # fmt: skip
START = "from tests.helpers import windows; windows.pretend()\n"


def run(code, folder):
    """Runs code as on Windows, with a console that knows Western letters only; returns the process."""
    environment = {"PYTHONPATH": str(ROOT), "PYTHONWARNDEFAULTENCODING": "1", "PYTHONIOENCODING": "cp1252"}
    environment |= {"HOME": str(folder), "OMP_NUM_THREADS": "2"}
    return subprocess.run(
        [sys.executable, "-c", START + code], cwd=folder, capture_output=True, env=os.environ | environment, timeout=300
    )


@pytest.fixture
def folder(tmp_path, tiny_file):
    (tmp_path / "tiny.safetensors").write_bytes(tiny_file.read_bytes())
    for name in ("写真.png", "sub/b.jpg"):
        images.write(tmp_path / "photos" / name, images.Picture(photo(40, 60)))
    videos.write_flash(tmp_path / "clip.mp4", seconds=0.5)
    return tmp_path


def test_names_that_windows_lacks_are_guarded():
    """Also in lines that the tests below do not reach."""
    found = set()
    for path in (ROOT / "ppcartoon").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module, name = node.value.id, node.attr
                if name in {"os": windows.FUNCTIONS.split(), "signal": windows.posix_signals()}.get(module, ()):
                    found.add((path.relative_to(ROOT / "ppcartoon").with_suffix("").as_posix(), name))
    assert found == GUARDED


@pytest.mark.slow
@pytest.mark.parametrize(
    "code, error",
    [
        ("import os; os.sysconf('SC_PAGE_SIZE')", AttributeError),
        ("import os; hasattr(os, 'getuid') and exit(3); os.kill(1, 0)", AttributeError),
        ("from os import O_DIRECTORY", ImportError),
        ("from signal import SIGINT, SIGTERM; import signal; signal.SIGHUP", AttributeError),
        ("import fcntl", ModuleNotFoundError),
        ("import sys; assert sys.platform != 'win32'", AssertionError),
        ("open('a', 'w')", EncodingWarning),
        ("import os; file = open('a', 'wb'); os.replace('a', 'b')", PermissionError),
        ("from pathlib import Path; file = open('a', 'wb'); Path('a').unlink()", PermissionError),
    ],
)
def test_what_windows_lacks_is_an_error_in_our_code_alone(tmp_path, code, error):
    done = run(f"exec({code!r}, {{'__name__': 'ppcartoon.probe'}})", tmp_path)
    assert done.stderr.decode().splitlines()[-1].startswith(error.__name__)
    if error is not PermissionError:
        done = run(f"exec({code!r}, {{'__name__': 'library'}})", tmp_path)
        assert not done.returncode or b"Windows" not in done.stderr


def command(*arguments):
    return f"import sys; from ppcartoon.cli.main import main; sys.exit(main({list(arguments)}))"


@pytest.mark.slow
def test_folders_and_videos_become_cartoons(folder):
    done = run(command("photos", "clip.mp4", "-r", "-o", "cartoons", "-w", "tiny.safetensors"), folder)
    assert done.returncode == 0, done.stderr
    found = {path.relative_to(folder / "cartoons").as_posix() for path in (folder / "cartoons").rglob("*.*")}
    assert found == {"写真.png", "sub/b.jpg", "clip.mp4"}


@pytest.mark.slow
def test_a_name_that_the_console_cannot_show_is_escaped(folder):
    (folder / "写真.jpg").write_bytes(b"no photo")
    done = run(command("写真.jpg", "photos", "-o", "cartoons", "-w", "tiny.safetensors"), folder)
    assert done.returncode == 1 and rb"\u5199\u771f.jpg: not an image" in done.stderr
    assert (folder / "cartoons" / "写真.png").is_file()


@pytest.mark.slow
def test_a_model_is_exported(folder):
    done = run(command("export", "-w", "tiny.safetensors", "--format", "onnx", "pdparams"), folder)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (folder / "exported").glob("*/*")} == {"tiny.onnx", "tiny.pdparams"}


PAGE = """
import threading, time, urllib.request
from pathlib import Path
from ppcartoon import CartoonPredictor
from ppcartoon.cli.main import main
from ppcartoon.web.jobs import Job, Jobs
from ppcartoon.web.studio import Limits, Mix, Options, Studio
folder = Path("page").resolve()
jobs = Jobs(Studio({"tiny": CartoonPredictor(weights_file="tiny.safetensors")}, Limits()), folder)
for name in ("a.png", "clip.mp4"):
    place = jobs.new_folder()
    job = Job(name, Options(style="tiny", size=256), place, (folder / name).rename(place / name))
    jobs.prepare(job)
    jobs.submit(job).result()
    print(job.result_name(job.suffix), job.state, job.made.width, job.error)
    if job.kind == "photo":
        print(len(jobs.studio.result(job.made, job.options, Mix(strength=0.5), place, ".png")))
    jobs.delete(job)
jobs.close()
print([path.name for path in folder.iterdir()])

def visit():
    import signal
    while True:
        try:
            print(urllib.request.urlopen("http://127.0.0.1:PORT/").status)
            return signal.raise_signal(signal.SIGINT)
        except OSError:
            time.sleep(0.1)

threading.Thread(target=visit).start()
code = main(["demo", "-w", "tiny.safetensors", "--port", "PORT"])
print("code", code)
"""


@pytest.mark.slow
def test_the_page_makes_cartoons_and_ends(folder):
    (folder / "page").mkdir()
    (folder / "photos/写真.png").rename(folder / "page/a.png")
    (folder / "clip.mp4").rename(folder / "page/clip.mp4")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    done = run(PAGE.replace("PORT", port), folder)
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith("a_cartoon.png done ") and int(lines[1]) > 1000, done.stderr
    assert lines[2:4] == ["clip_cartoon.png done 64 ", "[]"]
    assert lines[-2:] == ["200", "code 0"], done.stderr


@pytest.mark.slow
def test_cartoons_are_evaluated(folder):
    for name in ("a", "b"):
        folders.drawn(folder / name, photos=4, cartoons=4)
    distance = ["fid", "a/photos", "a/cartoons", "--features", "vgg19:conv1_2", "--weights-file", "random"]
    done = run(command("evaluate", *distance), folder)
    assert done.returncode == 0, done.stderr
    assert list((folder / "AppData/Local/ppcartoon/features").glob("*.npy"))
    done = run(command("evaluate", "pictures", "a/photos", "--methods", "mine=tiny.safetensors"), folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "output/pictures/pictures.csv").is_file()


@pytest.mark.slow
def test_all_modules_can_be_imported(tmp_path):
    code = """
import pkgutil, ppcartoon
for module in pkgutil.walk_packages(ppcartoon.__path__, "ppcartoon."):
    if not module.name.startswith("ppcartoon.inference.ray_cluster.") and not module.name.endswith("__main__"):
        __import__(module.name)
"""
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr.decode()
