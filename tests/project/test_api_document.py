"""docs/api.md names everything that programs may import, and each of these has a docstring of its own."""

import importlib
import inspect
import re

import pytest

import ppcartoon
from tests.helpers.documents import ROOT

NAMES = re.findall(r"(?m)^::: (ppcartoon\.[\w.]+)\.(\w+)$", (ROOT / "docs/api.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("module, name", NAMES)
def test_listed_name_can_be_imported_and_has_its_own_docstring(module, name):
    found = getattr(importlib.import_module(module), name)
    assert found.__module__ == module
    own = found.__dict__.get("__doc__") if inspect.isclass(found) else found.__doc__  # not inherited
    assert own and not own.startswith(f"{name}(")  # not generated for a named tuple or data class


def test_names_of_the_package_are_on_the_page():
    names = {name for _, name in NAMES}
    assert len(NAMES) > 60 and {"CartoonPredictor", "InputError"} <= names
    assert set(ppcartoon.__all__) <= names | {"__version__"}
