"""Requirements, and the locks that `make lock` writes of them."""

import re
from pathlib import Path

import pytest
import setuptools  # noqa: F401  before distutils, which Python 3.12 has no more
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# isort: split
from distutils.core import run_setup

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.10", "3.11", "3.12")
LOCKS = re.findall(r"setup\.py (.*) -o (requirements/\S+)", (ROOT / "Makefile").read_text())  # arguments and file


MADE = run_setup(str(ROOT / "setup.py"), stop_after="init")  # what setup.py says


def environment(python: str) -> dict[str, str]:
    return {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"} | {
        "platform_machine": "x86_64",
        "platform_system": "Linux",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }


def pins(path: str, python: str) -> dict[str, str]:
    """The versions that a lock has for a Python on Linux, by name."""
    text = (ROOT / path).read_text()
    found = [Requirement(line.rstrip("\\ ")) for line in text.splitlines() if re.match(r"[\w.-]+==", line)]
    assert len(found) > 10
    applying = [r for r in found if r.marker is None or r.marker.evaluate(environment(python))]
    versions = {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in applying}
    assert len(versions) == len(applying), "pinned twice"
    return versions


def wanted(arguments: str) -> list[Requirement]:
    """What a lock must hold, by the arguments with which it is made."""
    lines = MADE.install_requires + [
        line for extra in re.findall(r"--extra (\w+)", arguments) for line in MADE.extras_require[extra]
    ]
    for name in re.findall(r"(requirements/\S+\.in)", arguments):
        lines += [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    return [Requirement(line) for line in lines]


def test_there_are_locks():
    assert {path for _, path in LOCKS} == {f"requirements/{name}.txt" for name in ("demo", "test", "cpu", "gpu")}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("arguments, path", LOCKS, ids=[path for _, path in LOCKS])
def test_a_lock_satisfies_what_is_required(arguments, path, python):
    """Else `make lock` was forgotten."""
    versions = pins(path, python)
    for requirement in wanted(arguments):
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{requirement} is not in {path}"
        assert requirement.specifier.contains(versions[name]), f"{requirement}, and {versions[name]} in {path}"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("path", [path for _, path in LOCKS if "test" not in path])
def test_other_locks_hold_versions_that_the_tests_run_on(path, python):
    tested = pins("requirements/test.txt", python)
    assert pins(path, python).items() <= tested.items()


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.stem)
def test_all_pins_have_hashes_and_no_place_of_their_own(path):
    pinned = re.findall(r"^[\w.-]+==.*?(?=^\S|\Z)", path.read_text(), re.M | re.S)
    assert pinned and all("--hash=sha256:" in pin and "://" not in pin for pin in pinned)
    assert "index" not in path.read_text().split("==")[0]


def documents() -> list[Path]:
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("weights/*.md")]
    return found + sorted((ROOT / "ppcartoon").rglob("*.py"))


def test_extras_that_documents_and_messages_name_exist():
    text = "\n".join(path.read_text(encoding="utf-8") for path in documents())
    named = {
        extra for extras in re.findall(r"""["'](?:\.|ppcartoon)\[([\w,-]+)\]""", text) for extra in extras.split(",")
    }
    assert {"demo", "train", "openvino"} <= named <= MADE.extras_require.keys()


def test_pre_commit_has_the_ruff_of_the_tests():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    ruff = next(repo for repo in hooks if repo["repo"].endswith("/ruff-pre-commit"))
    assert ruff["rev"] == "v" + pins("requirements/test.txt", "3.11")["ruff"]
    assert [hook["id"] for hook in ruff["hooks"]] == ["ruff-check", "ruff-format"]
