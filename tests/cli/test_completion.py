"""Shell completion, tested in bash."""

import shlex
import subprocess
import sys

import pytest

from ppcartoon.cli import infer
from tests.helpers import training_runs


def completion_script(shell: str) -> str:
    command = [sys.executable, "-m", "ppcartoon", "--print-completion", shell]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=training_runs.ROOT).stdout


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "ppcartoon"
    path.write_text(completion_script("bash"))
    return path


@pytest.fixture
def complete(script, tmp_path):
    """A function that completes the last word of a command line, in a folder with a file and a folder."""
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "photos").mkdir()

    def completions(*words: str) -> set[str]:
        program = f"""
        source {shlex.quote(str(script))}
        function=$(complete -p ppcartoon | sed 's/.* -F //; s/ .*//')
        COMP_WORDS=(ppcartoon {shlex.join(words)}) COMP_CWORD={len(words)}
        $function 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        bash = ["bash", "--norc", "-c", program]
        return set(subprocess.run(bash, capture_output=True, text=True, cwd=tmp_path, check=True).stdout.split())

    return completions


def test_options_and_their_values_are_completed(complete):
    assert complete("--eng") == {"--engine"}
    assert complete("--engine", "") == set(infer.ENGINES)
    assert complete("--device", "g") == {"gpu"}
    assert complete("--") >= {"--style", "--weights", "--input", "--start", "--print-completion"}


@pytest.mark.parametrize("words", [(), ("-i",), ("-o",), ("--weights",)], ids=" ".join)
def test_files_and_folders_are_completed(complete, words):
    assert complete(*words, "pho") == {"photo.jpg", "photos"}


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_scripts_for_other_shells_are_printed(shell):
    text = completion_script(shell)
    assert {"zsh": "#compdef ppcartoon", "tcsh": "complete ppcartoon"}[shell] in text and "openvino" in text
