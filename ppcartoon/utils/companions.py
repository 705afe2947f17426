"""Files that systems and programs put beside photos, which searches of folders leave out."""

from __future__ import annotations

import os

# In lower case.
COMPANIONS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "picasa.ini", "zbthumbnail.info"}
COMPANION_ENDINGS = {".aae", ".cos", ".dop", ".ini", ".json", ".lnk", ".lrprev", ".lrv", ".on1", ".pp3", ".srt", ".thm"}
COMPANION_ENDINGS |= {".url", ".vtt", ".xml", ".xmp"}
COMPANION_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"}


def is_companion(name: str) -> bool:
    """Whether a file name is that of a known companion of photos, such as Thumbs.db or a.xmp."""
    name = name.lower()
    return name in COMPANIONS or os.path.splitext(name)[1] in COMPANION_ENDINGS


def is_skipped(path: str) -> bool:
    """Whether a search of a folder leaves out a file, by its path below: hidden, a companion, or in such a folder."""
    *folders, name = path.split("/")
    return (
        is_companion(name)
        or any(part.startswith(".") for part in (*folders, name))
        or any(folder.lower() in COMPANION_FOLDERS for folder in folders)
    )
