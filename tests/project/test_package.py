"""What `import ppcartoon` loads, and what sdist and wheel contain."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from PIL import Image

import ppcartoon
from ppcartoon import weights
from tests.project.test_locks import SETUP

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, **options)


def test_import_loads_no_large_library():
    loaded = python("import sys, ppcartoon; print(*sys.modules)").stdout.split()
    assert not {"paddle", "ppgan", "numpy", "PIL", "onnx", "onnxruntime", "skimage"} & set(loaded)


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_load_only_the_standard_library(argument):
    """This keeps them fast."""
    (script,) = SETUP.entry_points["console_scripts"]
    module, function = script.split(" = ")[1].split(":")
    report = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    done = python(f"{report}sys.argv = ['ppcartoon', '{argument}']; from {module} import {function} as run; run()")
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert loaded - sys.stdlib_module_names <= {"ppcartoon"} | loaded_at_startup()
    assert done.stdout


def test_a_photo_loads_no_library_that_it_does_not_need(tiny_file, tmp_path):
    """This keeps the start fast, and the base installation small."""
    Image.linear_gradient("L").save(tmp_path / "photo.png")
    words = ["-i", str(tmp_path / "photo.png"), "-o", str(tmp_path / "out"), "-w", str(tiny_file), "--engine", "onnx"]
    code = f"from ppcartoon.cli.main import main; main({words}); import sys; print(*sys.modules, file=sys.stderr)"
    loaded = set(python(code).stderr.split())
    assert "onnxruntime" in loaded
    assert not {"onnx", "openvino", "paddle", "cv2", "av", "pillow_heif", "shtab", "multiprocessing.pool"} & loaded


def loaded_at_startup() -> set[str]:
    """Modules that Python imports before any program, because of .pth files."""
    return {name.partition(".")[0] for name in python("import sys; print(*sys.modules)").stdout.split()}


def test_choices_of_the_flags_are_those_of_the_package():
    from ppcartoon import images
    from ppcartoon.cli import export, infer
    from ppcartoon.inference import engines
    from ppcartoon.inference.export import FORMATS
    from ppcartoon.video import formats

    assert infer.ENGINES == engines.NAMES and infer.PRECISIONS == engines.PRECISIONS
    assert {f".{ending}" for ending in infer.ENDINGS[1:]} == {*images.WRITABLE, *formats.ENDINGS} - {".jpeg", ".m4v"}
    assert tuple(formats.CODECS) == infer.CODECS and (*FORMATS, "pdparams") == export.FORMATS


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[set[str], set[str], set[str], str]:
    """File names in the repository, in the sdist, and in the wheel that is built from it; the metadata of the wheel."""
    folder = tmp_path_factory.mktemp("built")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    tracked = {name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    for name in tracked:
        (folder / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "clone" / name)
    build = "from setuptools import build_meta; build_meta.build_sdist('..')"
    subprocess.run([sys.executable, "-c", build], cwd=folder / "clone", check=True, capture_output=True)
    (sdist,) = folder.glob("ppcartoon-*.tar.gz")
    shutil.unpack_archive(sdist, folder / "source")
    (source,) = (folder / "source").iterdir()
    wheel = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    unpacked = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    subprocess.run([sys.executable, "-m", *wheel], check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("ppcartoon-*-py3-none-any.whl"))) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
    return tracked, unpacked, names, metadata


def test_sdist_contains_the_repository(built):
    tracked, sdist, _, _ = built
    assert {name for name in sdist - tracked if ".egg-info/" not in name} == {"PKG-INFO", "setup.cfg"}
    assert tracked - sdist == set()


def test_wheel_contains_only_the_package_and_its_weights(built):
    tracked, _, wheel, metadata = built
    ours = {name for name in tracked if name.startswith("ppcartoon/")}
    shipped = {f"ppcartoon/_weights/{name}.safetensors" for name in weights.manifest()}
    shipped |= {f"ppcartoon/_weights/{name}" for name in (weights.MANIFEST, "README.md")}
    assert {name for name in wheel if ".dist-info/" not in name} == ours | shipped
    assert f"Version: {ppcartoon.__version__}" in metadata


def test_wheel_does_not_require_paddle_or_ppgan(built):
    required = [line for line in built[3].splitlines() if line.startswith("Requires-Dist")]
    assert required and not [line for line in required if "paddle" in line or "ppgan" in line]


def test_changelog_and_citation_have_the_version_of_the_package():
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)[1]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert newest == citation["version"] == ppcartoon.__version__


def test_citation_has_the_required_fields_of_citation_file_format_1_2():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert {"message", "title", "authors"} <= citation.keys()
    paper = citation["preferred-citation"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert [author["family-names"] for author in paper["authors"]] == ["Dong", "Tan", "Tao", "Zheng", "Li"]
    assert re.fullmatch(r"10\.\d{4,9}/\S+", paper["doi"])
