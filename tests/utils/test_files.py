"""Folders of the user, and atomic writes."""

import pwd

from ppcartoon.utils import files


def test_a_user_without_a_home_has_a_cache_among_the_temporary_files(monkeypatch, tmp_path):
    def unknown(number):
        raise KeyError(number)

    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_home() == tmp_path / ".cache"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path))
    assert files.cache_home().parent == tmp_path
