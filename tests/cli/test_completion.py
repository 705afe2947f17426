"""What a shell completes, asked of a real bash."""

import shlex
import subprocess
import sys

import pytest

from ppcartoon import weights
from ppcartoon.cli import completion, flags
from tests.helpers import training_runs


def printed(shell: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, str(training_runs.ROOT / "tools/infer.py"), "--print-completion", shell]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "ppcartoon"
    path.write_text(printed("bash", check=True).stdout)
    return path


@pytest.fixture
def complete(script, tmp_path):
    """What bash offers for the last word of a command line, in a folder with two files and a folder."""
    for name in ("photo.jpg", "my style.safetensors"):
        (tmp_path / name).touch()
    (tmp_path / "photos").mkdir()

    def offered(*words: str) -> set[str]:
        ask = f"""
        eval "$(cat {shlex.quote(str(script))})"
        function=$(complete -p ppcartoon | sed 's/.* -F //; s/ .*//')
        COMP_WORDS=(ppcartoon {shlex.join(words)}) COMP_CWORD={len(words)}
        $function 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(["bash", "--norc", "-c", ask], capture_output=True, text=True, cwd=tmp_path, check=True)
        return set(done.stdout.splitlines()) - {""}

    return offered


def test_options_and_their_values(complete):
    assert complete("--eng") == {"--engine"}
    assert complete("--engine", "") == set(flags.ENGINES)
    assert complete("--device", "g") == {"gpu"}
    assert complete("--print-completion", "") == set(completion.SHELLS)
    assert complete("--") >= {"--style", "--weights", "--input", "--start", "--print-completion"}


def test_the_page_in_the_browser(complete):
    assert complete("d") == {"demo"} and complete("-i", "d") == set()


@pytest.mark.parametrize("option", ["-s", "--style"])
def test_the_shipped_styles(complete, option):
    assert complete(option, "") == set(weights.manifest())


@pytest.mark.parametrize("option", ["-i", "-o", "-w", "--input", "--output", "--weights"])
def test_files_also_with_spaces(complete, option):
    assert complete(option, "pho") == {"photo.jpg", "photos"}
    assert complete(option, "my") == {"my style.safetensors"}


def test_after_any_number_of_files_come_more_files_or_options(complete):
    assert complete("-i", "photo.jpg", "pho") == {"photo.jpg", "photos"}
    assert complete("-i", "photo.jpg", "photos", "--sty") == {"--style"}


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_a_script_of_their_own(shell):
    text = printed(shell, check=True).stdout
    assert {"zsh": "#compdef ppcartoon", "tcsh": "complete ppcartoon"}[shell] in text
    assert "peppercarrot" in text and "openvino" in text


def test_an_unknown_shell_is_refused():
    done = printed("fish")
    assert done.returncode == 2 and "invalid choice: 'fish'" in done.stderr and not done.stdout


def test_without_the_list_of_styles_there_is_a_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(weights, "folder", lambda: tmp_path)
    with pytest.raises(SystemExit) as stop:
        flags.parser().parse_args(["--print-completion", "bash"])
    assert stop.value.code == 2 and "SHA256SUMS: No such file" in capsys.readouterr().err
