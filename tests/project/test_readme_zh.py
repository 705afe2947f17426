"""README_zh.md has the same commands, code, links and numbers as README.md, block by block."""

import re

import pytest

from tests.helpers import training_runs
from tests.helpers.documents import MARKS

CODE = re.compile(r"```(\w*)\n(.*?)```|((?:^    [^\n]*\n)+)", re.MULTILINE | re.DOTALL)


def read(name):
    return (training_runs.ROOT / name).read_text(encoding="utf-8")


def commands(text):
    """Each line of code without its comment, and the MARKS in the comment."""
    lines = [line for block in CODE.finditer(text) for line in (block[2] or block[3]).splitlines() if line.strip()]
    parts = [re.split(r"\s+# ?", line.strip(), maxsplit=1) for line in lines]
    return [(command, {mark for mark in MARKS if mark in "".join(comment)}) for command, *comment in parts]


def blocks(text):
    """The level of each heading, and the code, links and numbers of each paragraph, list item or table row."""
    found = []
    for block in re.split(r"\n(?=[|#-])|\n\n+", CODE.sub("\n", text)):
        if heading := re.match("#+ ", block):
            found.append(heading[0])
        elif block.strip():
            plain, code = re.sub("`[^`]+`", " ", block), re.findall("`([^`]+)`", block)
            links = [re.sub(r"README(_zh)?\.md", "README*", link) for link in re.findall(r"\]\(([^)]+)\)", plain)]
            numbers = re.findall(r"(?<![\w.])\d+(?:\.\d+)*", re.sub(r"\]\([^)]+\)|[a-z][\w/]*\.\w+", "", plain))
            found.append(sorted([" ".join(span.split()) for span in code] + links + numbers))
    return found


def test_commands_are_the_same():
    assert commands(read("README_zh.md")) == commands(read("README.md"))
    assert len(commands(read("README.md"))) >= 5


def test_headings_code_links_and_numbers_are_the_same():
    english, chinese = blocks(read("README.md")), blocks(read("README_zh.md"))
    for translated, original in zip(chinese, english):
        assert translated == original
    assert len(chinese) == len(english)


def test_both_link_to_each_other_in_their_first_lines():
    assert "[中文](README_zh.md)" in read("README.md")[:300] and "[English](README.md)" in read("README_zh.md")[:300]


@pytest.mark.parametrize(
    "old, new",
    [
        ("    ppcartoon demo  ", "    ppcartoon  "),
        ("`ppcartoon photos -r", "`ppcartoon photos"),
        ("(docs/start.md)", "(docs/star.md)"),
        ("24 megapixels", "25 megapixels"),
        ("## Platforms\n", "### Platforms\n"),
    ],
)
def test_change_of_only_one_of_them_is_detected(old, new):
    text = read("README.md")
    changed = text.replace(old, new, 1)
    assert changed != text
    assert (commands(changed), blocks(changed)) != (commands(text), blocks(text))
