"""docs/api.md is up to date, and everything that it lists can be imported and has a docstring."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import api  # noqa: E402

NAMES = [
    (module, name)
    for modules in api.PUBLIC.values()
    for module, names in modules.items()
    for name in names.split()
]  # fmt: skip


def test_page_is_up_to_date():
    """If this fails, run `python docs/api.py`."""
    done = subprocess.run([sys.executable, str(ROOT / "docs/api.py"), "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert api.PAGE.read_text(encoding="utf-8") == api.document()


def test_check_detects_a_missing_or_edited_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(api, "PAGE", tmp_path / "api.md")
    monkeypatch.setattr(sys, "argv", ["api.py", "--check"])
    assert api.main() == 1 and "run python docs/api.py" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["api.py"])
    assert api.main() == 0
    monkeypatch.setattr(sys, "argv", ["api.py", "--check"])
    assert api.main() == 0
    api.PAGE.write_text(api.PAGE.read_text() + "by hand")
    assert api.main() == 1


@pytest.mark.parametrize("module, name", NAMES)
def test_listed_name_can_be_imported_and_has_its_own_docstring(module, name):
    found = getattr(importlib.import_module(f"ppcartoon.{module}"), name)
    assert found.__module__ == f"ppcartoon.{module}"
    own = found.__dict__.get("__doc__") if inspect.isclass(found) else found.__doc__  # not inherited
    assert own and not own.startswith(f"{name}(")  # not generated for a named tuple or data class
    assert f"\n#### `{name}" in api.document()


def test_names_of_the_package_are_on_the_page():
    import ppcartoon

    assert {"CartoonPredictor", "InputError"} <= {name for _, name in NAMES}
    assert set(ppcartoon.__all__) <= {name for _, name in NAMES} | {"__version__"}


def test_signatures_and_docstrings_become_markdown():
    source = '''
class Box(NamedTuple):
    """A box.

    Attributes:
        side: its length,
            in pixels.
    """

    side: int = 3

    @property
    def area(self) -> int:
        """Of its face."""

    def grow(self, by: int | None = None, *, fast: bool = True) -> Box:
        """Makes it larger.

        Raises:
            InputError: it cannot be.
        """
'''
    node = ast.parse(source).body[0]
    assert api.signature(node) == "(side: int = 3)"
    assert api.docstring(node) == ["A box.", "", "**Attributes**", "- `side`: its length, in pixels."]
    area, grow = api.methods(node)
    assert api.signature(area) == ": int"
    assert api.signature(grow) == "(by: int | None = None, *, fast: bool = True) -> Box"
    assert api.docstring(grow)[-1] == "- `InputError`: it cannot be."
