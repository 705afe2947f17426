"""Hooks of MkDocs: files that are kept outside of docs/, and links to files of the repository."""

import logging
import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "weights/README.md": "weights.md"}
LINK = re.compile(r"\[([^\]]*)\]\((?!\w+:)([^)#\s]+)([^)\s]*)\)")
log = logging.getLogger("mkdocs.plugins.site_hooks")


@event_priority(100)
def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the files from outside, before the plugin for languages sees them."""
    for path, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, "logo.svg", abs_src_path=str(ROOT / "ppcartoon/web/page/logo.svg")))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to files outside of docs/ into links to their pages or to the repository; without one, into text."""
    outside = {name: path for path, name in PAGES.items()}
    folder = os.path.dirname(outside.get(page.file.src_uri, f"docs/{page.file.src_uri}"))

    def link(match: re.Match[str]) -> str:
        text, target, heading = match.groups()
        path = os.path.normpath(os.path.join(folder, target))
        if path in PAGES:
            return f"[{text}]({PAGES[path]}{heading})"
        if path.startswith("docs/"):
            return f"[{text}]({path.removeprefix('docs/')}{heading})"
        if not (ROOT / path).exists():
            log.warning(f"{page.file.src_uri}: link to {target}, which does not exist")
        repository = config.extra["repository"]
        return f"[{text}]({repository}/blob/HEAD/{path}{heading})" if repository else text

    return LINK.sub(link, markdown)
