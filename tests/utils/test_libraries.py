"""What is said about missing libraries."""

import re
import sys

import pytest

from ppcartoon.errors import InputError
from ppcartoon.utils import libraries
from tests.project.test_locks import ROOT, SETUP

EXTRAS = {
    "the sample photos": "demo",
    "OpenVINO": "openvino",
    "videos": "video",
    "RAW photos": "raw",
    "a Ray cluster": "ray",
    "the user study": "study",
    "the page": "web",
    "training": "train",
}


def packages(part):
    modules = set(libraries.MODULES[part]) - libraries.COMMANDS.keys()
    return {re.match(r"[\w-]+", libraries.PACKAGES.get(name, name).strip('"'))[0] for name in modules}


def required(lines):
    return {re.match(r"[\w-]+", line)[0] for line in lines}


def test_each_part_names_the_requirements_of_its_extra():
    assert packages("cartoons") == required(SETUP.install_requires)
    assert {*EXTRAS.values(), "cuda", "directml", "test"} == SETUP.extras_require.keys()
    for part, extra in EXTRAS.items():
        assert packages(part) == required(SETUP.extras_require[extra]), part
    for part in ("training data", "evaluation"):
        assert set(libraries.MODULES[part]) <= set(libraries.MODULES["training"])


@pytest.mark.parametrize(
    "absent, part, said",
    [
        (["av"], "videos", "av is not installed; for videos: pip install av"),
        (["av", "cv2"], "videos", "av is not installed; for videos: pip install av opencv-python-headless"),
        (
            ["yaml", "paddle", "ppgan", "six"],
            "training",
            "yaml is not installed; for training: pip install six pyyaml, pip install paddlepaddle==3.2.2 (or Paddle's "
            "GPU build), pip install --no-deps ppgan==2.1.0",
        ),
        (["nowhere"], "videos", "nowhere is not installed; for videos: pip install nowhere"),
    ],
)
def test_message_names_all_that_a_part_lacks_as_pip_knows_it(monkeypatch, absent, part, said):
    for name in absent:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"), libraries.needs(part):
        __import__(absent[0])


def test_a_library_of_another_version_is_not_called_missing():
    with pytest.raises(ModuleNotFoundError, match=r"numpy\.nowhere"), libraries.needs("videos"):
        __import__("numpy.nowhere")


def test_no_hint_installs_this_package_by_its_name():
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "ppcartoon").rglob("*.py")]
    assert [path for path in texts if "ppcartoon[" in path.read_text("utf-8")] == []
