"""Runs notebooks/quickstart.ipynb from the first cell to the last, and stores its outputs in it."""

import argparse
import hashlib
import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "notebooks/quickstart.ipynb"
HELPERS = NOTEBOOK.with_suffix(".py")
TIMES = re.compile(r": about [\d.]+ s$|; [\d.]+ s, [\d.]+ per second(, \d+ frames at [\d.]+ per second)?| +$", re.M)


def execute(folder: Path, **variables: str) -> nbformat.NotebookNode:
    """Runs the notebook in an empty folder, which gets links to the repository's and keeps all that is made.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    for name in ("ppcartoon", "tools", "configs", "weights"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("home", "notebooks"):
        (folder / name).mkdir()
    (folder / "notebooks" / HELPERS.name).symlink_to(HELPERS)
    book = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(book, timeout=1800, record_timing=False, coalesce_streams=True)
    client.execute(cwd=folder / "notebooks", env={**os.environ, "HOME": str(folder / "home"), **variables})
    for output in (output for cell in book.cells for output in cell.get("outputs", ()) if "text" in output):
        output.text = TIMES.sub("", output.text.replace(f"{folder}/home/", "~/").replace(f"{folder}/", ""))
    book.metadata.language_info = {"name": "python"}  # and no versions, which are another machine's
    book.metadata.outputs_of = digest(book)
    return book


def digest(book: nbformat.NotebookNode) -> str:
    """Tells the code by which outputs were made from code that was changed since."""
    sources = [cell.source for cell in book.cells if cell.cell_type == "code"] + [HELPERS.read_text(encoding="utf-8")]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(execute(Path(folder)), NOTEBOOK)
