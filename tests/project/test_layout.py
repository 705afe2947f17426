"""The order of the packages, and what prediction must not import."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "ppcartoon"
FILES = sorted(PACKAGE.rglob("*.py"))
ORDER = [
    "errors",
    "utils",
    "images",
    "weights",
    "ppgan_compat",
    "video",
    "data",
    "models",
    "config",
    "inference",
    "baselines",
    "evaluation",
    "register",
    "training",
    "web",
    "cli",
    "__main__",
]
PADDLE = {"models", "baselines", "evaluation", "training", "register", "ppgan_compat", "data/datasets"}
WITHOUT_PADDLE = {"evaluation/user_study", "evaluation/compare", "evaluation/fid", "evaluation/outputs"}


def place(path: Path) -> str:
    """As in "models/losses"."""
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def package(path: Path) -> str:
    return place(path).split("/")[0]


def imports(path: Path) -> list[tuple[str, ast.stmt]]:
    """Dotted names of what a file imports, anywhere in it, but for types alone."""
    found, tree = [], ast.parse(path.read_text())
    types = {
        id(statement)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
    }
    here = ("ppcartoon", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        if id(node) in types:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*here[: len(here) - node.level + 1], *filter(None, [node.module])])
            base = base if node.level else node.module
            found += [(f"{base}.{alias.name}", node) for alias in node.names]
    return found


def test_the_packages_are_those_of_the_order():
    assert {package(path) for path in FILES} - {"__init__"} == set(ORDER)


def test_a_package_imports_only_what_stands_before_it():
    offenders = []
    for path in FILES:
        above = ORDER[ORDER.index(package(path)) + 1 :] if package(path) in ORDER else ()
        offenders += [f"{place(path)}: {name}" for name, _ in imports(path) if name.split(".")[:2] in
                      [["ppcartoon", later] for later in above]]  # fmt: skip
    assert offenders == []


def test_paddle_is_imported_at_module_level_only_where_networks_run():
    offenders = []
    for path in FILES:
        allowed = any(place(path).startswith(part) for part in PADDLE)
        allowed = allowed and not any(place(path).startswith(part) for part in WITHOUT_PADDLE)
        top_level = ast.parse(path.read_text()).body
        lines = {node.lineno for node in top_level}
        offenders += [
            f"{place(path)}: {name}"
            for name, node in imports(path)
            if name.split(".")[0] in ("paddle", "ppgan") and node.lineno in lines and not allowed
        ]
    assert offenders == []


def test_prediction_imports_neither_paddle_nor_ppgan(tiny_file):
    code = (
        "import sys; import numpy as np; from ppcartoon import CartoonPredictor\n"
        f"CartoonPredictor(weights_file={str(tiny_file)!r})(np.zeros((16, 16, 3), np.uint8))\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('paddle', 'ppgan')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_register_writes_to_ppgan_s_registries():
    assert {place(path) for path in FILES if ".register(" in path.read_text()} == {"register"}
