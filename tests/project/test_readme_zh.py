"""README_zh.md says what README.md says: the same commands, code, links and numbers, block by block."""

import re

import pytest

from tests.helpers import training_runs
from tests.helpers.documents import MARKS

CODE = re.compile(r"```(\w*)\n(.*?)```|((?:^    [^\n]*\n)+)", re.MULTILINE | re.DOTALL)


def read(name):
    return (training_runs.ROOT / name).read_text(encoding="utf-8")


def commands(text):
    """Each line of code without its comment, and what that says that it needs."""
    lines = [line for block in CODE.finditer(text) for line in (block[2] or block[3]).splitlines() if line.strip()]
    parts = [re.split(r"\s+# ?", line.strip(), maxsplit=1) for line in lines]
    return [(command, {mark for mark in MARKS if mark in "".join(comment)}) for command, *comment in parts]


def blocks(text):
    """Headings by their depth; and of each paragraph, point or row of a table: code, links and numbers."""
    found = []
    for block in re.split(r"\n(?=[|#-])|\n\n+", CODE.sub("\n", text)):
        if heading := re.match("#+ ", block):
            found.append(heading[0])
        elif block.strip():
            plain, code = re.sub("`[^`]+`", " ", block), re.findall("`([^`]+)`", block)
            links = [re.sub(r"README(_zh)?\.md", "README*", link) for link in re.findall(r"\]\(([^)]+)\)", plain)]
            numbers = re.findall(r"(?<![\w.])\d+(?:\.\d+)*", re.sub(r"\]\([^)]+\)|[a-z][\w/]*\.\w+", "", plain))
            found.append(sorted([" ".join(each.split()) for each in code] + links + numbers))
    return found


def test_the_commands_are_the_same():
    assert commands(read("README_zh.md")) == commands(read("README.md"))
    assert len(commands(read("README.md"))) > 30


def test_headings_code_links_and_numbers_are_the_same():
    english, chinese = blocks(read("README.md")), blocks(read("README_zh.md"))
    for ours, theirs in zip(chinese, english):
        assert ours == theirs
    assert len(chinese) == len(english)


def test_each_names_the_other_in_its_first_lines():
    assert "[中文](README_zh.md)" in read("README.md")[:300] and "[English](README.md)" in read("README_zh.md")[:300]


@pytest.mark.parametrize(
    "old, new",
    [
        ("ppcartoon --help  ", ""),
        ("--max-size 768", "--max-size 76"),
        ("(GPU)", ""),
        ("`--max-size 384`", "`--max-side 384`"),
        ("(docs/api.md)", "(docs/app.md)"),
        ("95.0 (88.4", "95.0 (88.5"),
        ("## Train\n", "### Train\n"),
    ],
)
def test_a_change_of_one_alone_is_noticed(old, new):
    text = read("README.md")
    changed = text.replace(old, new, 1)
    assert changed != text
    assert (commands(changed), blocks(changed)) != (commands(text), blocks(text))
