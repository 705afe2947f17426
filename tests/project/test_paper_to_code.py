"""docs/paper_to_code.md agrees with docstrings, configs and logs on each equation, figure and table."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from ppcartoon.config import loading
from ppcartoon.config.schema import Validate
from ppcartoon.training import validation
from tests.helpers import tiny, training_runs
from tests.helpers.folders import drawn

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/paper_to_code.md"
CODE = ROOT / "ppcartoon"
NUMBERS = r"[\dIVX]+(?:(?:, | and | to | or )[\dIVX]+)*"
ITEM = re.compile(rf"\b(Eq|Fig|Table)s?\.? ({NUMBERS})(?![\w-])|\b(III-[A-C]|IV-[A-D])\b")
LINK = re.compile(r"\[`([\w./]+)`\]\(\.\./([\w./]+)\)")
ROMAN = {"I": 1, "II": 2}


class Row(NamedTuple):
    """A row of the page.

    Attributes:
        items: equations, figures, tables and sections of the paper, such as "Eq. 1".
        links: text and path of links to code and configs.
        keys: values of config keys.
        logged: names in the logs.
    """

    items: set[str]
    links: list[tuple[str, str]]
    keys: dict[str, object]
    logged: set[str]

    @property
    def symbols(self) -> list[str]:
        return [name for name, path in self.links if path.startswith("ppcartoon") and "/" not in name]


def items_of(text: str) -> set[str]:
    """Finds the items of the paper in a text: "Eqs. 1 to 3" gives {"Eq. 1", "Eq. 2", "Eq. 3"}."""
    found = set()
    for kind, numbers, section in ITEM.findall(text):
        if section:
            found.add(section)
            continue
        for part in re.split(", | and | or ", numbers):
            first, *last = (int(ROMAN.get(number, number)) for number in part.split(" to "))
            found |= {f"{kind}. {value}" for value in range(first, max([first, *last]) + 1)}
    return found


def rows() -> Iterator[Row]:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith(("| paper |", "| left open |")):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            keys = dict(re.findall(r"`([\w.]+): ([^`]+)`", cells[2]))
            logged = set(re.findall(r"`((?:[dg]_|fid_|learning_)\w+)`", cells[3])) if len(cells) > 3 else set()
            yield Row(items_of(cells[0]), LINK.findall(line), {k: yaml.safe_load(v) for k, v in keys.items()}, logged)


ROWS = list(rows())


def docstrings() -> dict[str, str]:
    """Docstrings of all modules, classes and functions by name, such as "module.Class.method".

    The baselines are excluded, since they number the equations of other papers.
    """
    found = {}

    def visit(node: ast.AST, name: str) -> None:
        found[name] = ast.get_docstring(node) or ""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                visit(child, f"{name}.{child.name}")

    for path in sorted(CODE.rglob("*.py")):
        parts = path.relative_to(CODE).with_suffix("").parts
        if parts[0] != "baselines":
            visit(ast.parse(path.read_text(encoding="utf-8")), ".".join(p for p in parts if p != "__init__"))
    return found


DOCSTRINGS = docstrings()


def documented_items(symbol: str) -> set[str]:
    """The items in the docstring of a symbol; if there are none, in that of its class or module."""
    while symbol and not items_of(DOCSTRINGS[symbol]):
        symbol = symbol.rpartition(".")[0]
    return items_of(DOCSTRINGS[symbol]) if symbol else set()


def test_lists_and_ranges_of_items_are_parsed():
    assert items_of("Eqs. 1 to 3 and 6, Tables I and II; Fig. 9 and III-A") == {
        "Eq. 1", "Eq. 2", "Eq. 3", "Eq. 6", "Table. 1", "Table. 2", "Fig. 9", "III-A",
    }  # fmt: skip


def test_items_of_each_docstring_are_on_the_page_with_a_link_to_it():
    missing = [
        f"{name}: {item}"
        for name, text in DOCSTRINGS.items()
        for item in sorted(items_of(text))
        if not any(
            item in row.items and any(f"{symbol}.".startswith(f"{name}.") for symbol in row.symbols) for row in ROWS
        )
    ]
    assert not missing


def test_items_on_the_page_are_in_the_docstrings_that_it_links_to():
    linked = [
        (symbol, item)
        for row in ROWS
        for item in row.items
        if item.startswith(("Eq", "Fig", "Table"))
        for symbol in row.symbols
        if not symbol.startswith("baselines")
    ]
    assert len(linked) > 40
    assert not [f"{symbol}: {item}" for symbol, item in linked if item not in documented_items(symbol)]


def test_page_has_every_equation_figure_and_table_of_the_paper():
    items = {f"Eq. {n}" for n in range(1, 7)} | {f"Fig. {n}" for n in range(1, 12)} | {"Table. 1", "Table. 2"}
    assert items <= set().union(*(row.items for row in ROWS))


def test_links_point_to_existing_files_and_names():
    links = [link for row in ROWS for link in row.links]
    assert len(links) > 60
    for name, path in links:
        assert (ROOT / path).exists(), path
        if not path.startswith("ppcartoon") or path.endswith(name):
            continue
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        found = importlib.import_module(module)
        rest = f"ppcartoon.{name}".removeprefix(module).strip(".")
        for part in rest.split(".") if rest else []:
            found = getattr(found, part)


def test_keys_have_the_values_of_the_base_config():
    base = loading.load(ROOT / "configs/cartoonloss_base.yaml").model_dump()
    keys = [(key, value) for row in ROWS for key, value in row.keys.items()]
    assert len(keys) > 40
    for key, value in keys:
        found = base
        for part in key.split("."):
            found = found[part]
        assert found == value, key


@pytest.fixture
def validation_names(tmp_path, monkeypatch) -> set[str]:
    """The names that validation logs, with the metrics of the example in the base config."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root, names = drawn(tmp_path / "data", photos=3, cartoons=3), set()
    fid = {"name": "CartoonFID", "features": "vgg19:conv1_1", "weights_file": "random"}
    settings = {"interval": 1, "batch_size": 3, "metrics": {"fid": fid}}
    config = Validate(photos=str(root / "photos"), cartoons=str(root / "cartoons"), **settings)
    validator = validation.Validation(config)
    validator.prepare()

    class NameCollector:
        def scalars(self, step, values, **options):
            names.update(values)

    validator.after(1, tiny.model(), NameCollector(), lambda: False)
    return names


def test_names_in_the_logs_are_those_of_a_run(whole, validation_names):
    logged = set().union(*training_runs.metrics(whole[1])) | validation_names
    animegan = tiny.model(adv_loss="animegan", style_loss="animegan", color_loss="animegan")
    animegan.setup_input(tiny.batch())
    animegan.train_iter()
    losses = {name for name in logged if name.startswith(("d_", "g_"))} | set(animegan.losses)
    on_the_page = set().union(*(row.logged for row in ROWS))
    assert on_the_page == losses | {"learning_rate", "fid_cartoon", "fid_content"}
    assert {"learning_rate", "fid_cartoon", "fid_content"} <= logged
