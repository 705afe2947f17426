"""Which package may import which, and what prediction must not import."""

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
    "apps",
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


def module(path: Path) -> str:
    """The path of a module in the package, such as "models/losses"."""
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def package(path: Path) -> str:
    return module(path).split("/")[0]


def imports(path: Path) -> list[tuple[str, ast.stmt]]:
    """Dotted names of all imports of a file, except those under TYPE_CHECKING, with their statements."""
    found, tree = [], ast.parse(path.read_text())
    types = {
        id(statement)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
    }
    parents = ("ppcartoon", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        if id(node) in types:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            relative = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])
            base = relative if node.level else node.module
            found += [(f"{base}.{alias.name}", node) for alias in node.names]
    return found


def test_every_package_has_a_place_in_the_order():
    assert {package(path) for path in FILES} - {"__init__"} == set(ORDER)


def test_packages_import_only_those_before_them():
    offenders = []
    for path in FILES:
        later = ORDER[ORDER.index(package(path)) + 1 :] if package(path) in ORDER else ()
        forbidden = [["ppcartoon", name] for name in later]
        offenders += [f"{module(path)}: {name}" for name, _ in imports(path) if name.split(".")[:2] in forbidden]
    assert offenders == []


def test_only_modules_that_run_networks_in_paddle_import_it_at_module_level():
    offenders = []
    for path in FILES:
        if module(path).startswith(tuple(PADDLE)) and not module(path).startswith(tuple(WITHOUT_PADDLE)):
            continue
        top_level = {node.lineno for node in ast.parse(path.read_text()).body}
        offenders += [
            f"{module(path)}: {name}"
            for name, node in imports(path)
            if name.split(".")[0] in ("paddle", "ppgan") and node.lineno in top_level
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


def test_only_register_writes_to_the_registries_of_ppgan():
    assert {module(path) for path in FILES if ".register(" in path.read_text()} == {"register"}
