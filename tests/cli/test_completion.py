"""What a shell completes, asked of a real bash."""

import shlex
import subprocess
import sys

import pytest

from ppcartoon.cli import infer
from tests.helpers import training_runs


def printed(shell: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ppcartoon", "--print-completion", shell]
    return subprocess.run(command, capture_output=True, text=True, cwd=training_runs.ROOT, **options)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "ppcartoon"
    path.write_text(printed("bash", check=True).stdout)
    return path


@pytest.fixture
def complete(script, tmp_path):
    """What bash offers for the last word of a command line, in a folder with a file and a folder."""
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "photos").mkdir()

    def offered(*words: str) -> set[str]:
        ask = f"""
        source {shlex.quote(str(script))}
        function=$(complete -p ppcartoon | sed 's/.* -F //; s/ .*//')
        COMP_WORDS=(ppcartoon {shlex.join(words)}) COMP_CWORD={len(words)}
        $function 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(["bash", "--norc", "-c", ask], capture_output=True, text=True, cwd=tmp_path, check=True)
        return set(done.stdout.split()) - {""}

    return offered


def test_options_and_their_values(complete):
    assert complete("--eng") == {"--engine"}
    assert complete("--engine", "") == set(infer.ENGINES)
    assert complete("--device", "g") == {"gpu"}
    assert complete("--") >= {"--style", "--weights", "--input", "--start", "--print-completion"}


@pytest.mark.parametrize("words", [(), ("-i",), ("-o",), ("--weights",)], ids=" ".join)
def test_files(complete, words):
    assert complete(*words, "pho") == {"photo.jpg", "photos"}


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_a_script_of_their_own(shell):
    text = printed(shell, check=True).stdout
    assert {"zsh": "#compdef ppcartoon", "tcsh": "complete ppcartoon"}[shell] in text and "openvino" in text
