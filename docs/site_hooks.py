"""Hooks of MkDocs: pages and a logo that are kept outside of docs/, and links to files of the repository."""

import logging
import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md", "weights.md": "weights/README.md"}
LOGO = "ppcartoon/web/page/logo.svg"
LINK = re.compile(r"\[([^\]]*)\]\((?!\w+:)([^)#\s]+)([^)\s]*)\)")
log = logging.getLogger("mkdocs.plugins.site_hooks")


@event_priority(-200)  # after the plugin for languages, which knows only files in docs/
def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the logo to the site of each language."""
    files.append(File.generated(config, "logo.svg", abs_src_path=str(ROOT / LOGO)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Reads the pages from outside, which are only links in docs/, and adapts links that lead out of docs/.

    They lead to the page that a file has, or else to the repository. If that is not known, the text is left.
    """
    source = PAGES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    names = {path: name for name, path in PAGES.items()}

    def link(match: re.Match[str]) -> str:
        text, target, heading = match.groups()
        path = os.path.normpath(os.path.join(os.path.dirname(source), target))
        if path in names or path.startswith("docs/"):
            return f"[{text}]({names.get(path, path.removeprefix('docs/'))}{heading})"
        if not (ROOT / path).exists():
            log.warning(f"{source}: link to {target}, which does not exist")
        repository = config.extra["repository"]
        return f"[{text}]({repository}/blob/HEAD/{path}{heading})" if repository else text

    return LINK.sub(link, (ROOT / source).read_text(encoding="utf-8") if source in names else markdown)
