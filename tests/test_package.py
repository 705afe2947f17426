"""What `import ppcartoon` costs, and what a wheel holds."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ppcartoon import weights

ROOT = Path(__file__).parents[1]


def python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, **options)


def test_import_is_light():
    loaded = python("import sys, ppcartoon; print(*sys.modules)").stdout.split()
    assert not {"paddle", "ppgan", "numpy", "PIL", "onnx", "onnxruntime", "skimage"} & set(loaded)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_needs_no_library(arguments):
    """Reading the standard library is all that it takes, which is why it is quick."""
    run = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    done = python(f"{run}from ppcartoon.cli import main; main({arguments})")
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert loaded - sys.stdlib_module_names <= {"ppcartoon"} | at_start()
    assert done.stdout


def at_start() -> set[str]:
    """Modules that this Python imports before any program, by files ending in .pth."""
    return {name.partition(".")[0] for name in python("import sys; print(*sys.modules)").stdout.split()}


def test_the_flags_name_the_engines_that_exist():
    from ppcartoon import engines, flags, images
    from ppcartoon.video import encoding

    assert flags.ENGINES == engines.NAMES and flags.PRECISIONS == engines.PRECISIONS
    assert {f".{ending}" for ending in flags.ENDINGS[1:]} == {*images.WRITABLE, *encoding.ENDINGS} - {".jpeg", ".m4v"}


def test_a_wheel_holds_the_package_and_its_weights(tmp_path):
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, "."]
    source = tmp_path / "source"
    for name in ("ppcartoon", "weights"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-m", *build], check=True, capture_output=True, cwd=source)
    (wheel,) = tmp_path.glob("ppcartoon-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra" not in line]
    assert "paddle" not in str(required) and "ppgan" not in str(required) and len(required) == 6
    shipped = {
        f"ppcartoon/_weights/{name}" for name in [*(f"{s}.safetensors" for s in weights.manifest()), weights.MANIFEST]
    }
    files = [path for path in (ROOT / "ppcartoon").rglob("*.*") if path.suffix != ".pyc"]
    ours = {str(path.relative_to(ROOT)) for path in files}
    assert shipped | ours <= names
