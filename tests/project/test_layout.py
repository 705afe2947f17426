"""Imports go down only (each module may import those before it), and prediction never needs ppgan."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ppcartoon"
ORDER = [
    "errors",
    "clock",
    "signals",
    "listening",
    "threads",
    "files",
    "images",
    "compat",
    "norms",
    "networks",
    "cost",
    "losses",
    "schedules",
    "schema",
    "config",
]
ORDER += [
    "weights",
    "nodes",
    "graph",
    "engines",
    "tiling",
    "data",
    "video",
    "plan",
    "datasets",
    "vgg",
]
ORDER += ["predictor", "steady", "photos", "cluster", "completion", "flags", "cli", "export", "trainable", "models"]
ORDER += ["baselines", "evaluation"]
ORDER += [
    "checkpoints",
    "register",
    "runs",
    "monitor",
    "processes",
    "validation",
    "experiment",
    "trainer",
    "train_cli",
    "prepare_cli",
    "evaluate_cli",
]
ORDER += ["benchmark"]
ORDER += ["study", "web", "__main__"]
WITHOUT_PADDLE = {
    "errors",
    "threads",
    "files",
    "images",
    "schema",
    "config",
    "weights",
    "nodes",
    "graph",
    "tiling",
    "plan",
    "data",
    "predictor",
    "cli",
    "export",
}
WITHOUT_PADDLE |= {"clock", "signals", "video", "steady", "photos"}
WITHOUT_PADDLE |= {"completion", "flags", "cluster", "study", "listening", "web", "__main__"}
WITHOUT_PADDLE |= {"monitor", "processes", "prepare_cli", "evaluate_cli", "__init__"}
WITH_PPGAN = {"vgg", "trainable", "models", "baselines", "register", "validation", "experiment", "benchmark"}


def top(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """Full names of what a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, ["ppcartoon" if node.level else "", node.module]))
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_module_has_its_floor():
    assert {top(path) for path in FILES} - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("path", [f for f in FILES if top(f) != "__init__"], ids=top)
def test_imports_go_down(path):
    below = set(ORDER[: ORDER.index(top(path))])
    if path.parent != PACKAGE:  # the files of a subpackage may import each other
        below.add(top(path))
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("ppcartoon.")}
    assert ours & set(ORDER) <= below


@pytest.mark.parametrize("path", FILES, ids=top)
def test_paddle_and_ppgan_are_imported_where_they_are_needed_and_nowhere_else(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert "ppgan" not in roots or top(path) in WITH_PPGAN
    assert "paddle" not in roots or top(path) not in WITHOUT_PADDLE


def test_only_the_registry_writes_to_ppgan_s_registries():
    writers = {top(path) for path in FILES if ".register(" in path.read_text()}
    assert writers == {"register"}
