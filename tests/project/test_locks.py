"""Requirements, and the lock files that `make lock` writes for them."""

import re
from pathlib import Path

import pytest
import setuptools  # noqa: F401  provides distutils, which Python 3.12 lacks
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# isort: split
from distutils.core import run_setup

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
SYSTEMS = {  # values of markers: sys_platform, platform_machine, platform_system
    "Linux": ("linux", "x86_64", "Linux"),
    "Windows": ("win32", "AMD64", "Windows"),
    "macOS": ("darwin", "arm64", "Darwin"),
    "macOS on Intel": ("darwin", "x86_64", "Darwin"),
}
LOCKS = re.findall(r"setup\.py (.*) -o (requirements/\S+)", (ROOT / "Makefile").read_text())  # arguments and file
SETUP = run_setup(str(ROOT / "setup.py"), stop_after="init")


def environment(python: str, system: str = "Linux") -> dict[str, str]:
    """The values of requirement markers for a Python version."""
    names = "sys_platform", "platform_machine", "platform_system"
    return dict(zip(names, SYSTEMS[system])) | {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "extra": "",
    }


def pins(path: str, python: str, system: str = "Linux") -> dict[str, str]:
    """The versions of a lock file for a Python version, by package."""
    text = (ROOT / path).read_text()
    found = [Requirement(line.rstrip("\\ ")) for line in text.splitlines() if re.match(r"[\w.-]+==", line)]
    assert len(found) > 10
    applicable = [r for r in found if r.marker is None or r.marker.evaluate(environment(python, system))]
    versions = {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in applicable}
    assert len(versions) == len(applicable), "pinned twice"
    return versions


def required(arguments: str) -> list[Requirement]:
    """The requirements that a lock file must satisfy, by the arguments that create it."""
    lines = SETUP.install_requires + [
        line for extra in re.findall(r"--extra (\w+)", arguments) for line in SETUP.extras_require[extra]
    ]
    for name in re.findall(r"(requirements/\S+\.in)", arguments):
        lines += [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    return [Requirement(line) for line in lines]


def test_makefile_writes_all_locks():
    assert {path for _, path in LOCKS} == {
        f"requirements/{name}.txt" for name in ("demo", "test", "cpu", "gpu", "cartoons")
    }


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("arguments, path", LOCKS, ids=[path for _, path in LOCKS])
def test_lock_satisfies_its_requirements(arguments, path, python, system):
    """If this fails, run `make lock`. Whether wheels exist is checked by .ci/platforms."""
    versions, here = pins(path, python, system), environment(python, system)
    for requirement in (each for each in required(arguments) if each.marker is None or each.marker.evaluate(here)):
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{requirement} is not in {path}"
        assert requirement.specifier.contains(versions[name]), f"{requirement}, but {versions[name]} in {path}"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("path", [path for _, path in LOCKS if "test" not in path])
def test_other_locks_have_the_versions_of_the_test_lock(path, python):
    tested = pins("requirements/test.txt", python)
    assert pins(path, python).items() <= tested.items()


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.stem)
def test_all_pins_have_hashes_and_no_url_or_index(path):
    entries = re.findall(r"^[\w.-]+==.*?(?=^\S|\Z)", path.read_text(), re.M | re.S)
    assert entries and all("--hash=sha256:" in entry and "://" not in entry for entry in entries)
    assert "index" not in path.read_text().split("==")[0]


def documents() -> list[Path]:
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("weights/*.md")]
    return found + sorted((ROOT / "ppcartoon").rglob("*.py"))


def test_extras_in_documents_and_messages_exist():
    text = "\n".join(path.read_text(encoding="utf-8") for path in documents())
    lists = re.findall(r"""["'](?:\.|ppcartoon)\[([\w,-]+)\]""", text)
    extras = {extra for names in lists for extra in names.split(",")}
    assert {"demo", "train", "openvino"} <= extras <= SETUP.extras_require.keys()


def test_pre_commit_has_the_ruff_version_of_the_test_lock():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    ruff = next(repo for repo in hooks if repo["repo"].endswith("/ruff-pre-commit"))
    assert ruff["rev"] == "v" + pins("requirements/test.txt", "3.11")["ruff"]
    assert [hook["id"] for hook in ruff["hooks"]] == ["ruff-check", "ruff-format"]
