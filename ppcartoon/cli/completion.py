"""What a shell completes after `ppcartoon`: `demo`, options, their values, styles and files."""

from __future__ import annotations

import argparse
import shlex
import sys

from ..errors import InputError

SHELLS = ("bash", "zsh", "tcsh")
PATHS = ("input", "output", "weights")
# Bash's own way to files, and to options after an option that takes any number of them.
BASH = """_ppcartoon_files() {{
  case ${{COMP_WORDS[COMP_CWORD]}} in
    -*) compgen -W {options} -- "${{COMP_WORDS[COMP_CWORD]}}" ;;
    *) compgen -f -- "$1" ;;
  esac
}}"""


class PrintCompletion(argparse.Action):
    """Prints the completion of the parser's command line for the shell that is named, and ends."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, shell: str, option: str | None = None
    ) -> None:
        try:
            print(script(parser, shell))
        except InputError as error:
            parser.error(str(error))
        sys.exit()


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The commands that teach it to a shell.

    Args:
        parser: of the command line; it is not to be used afterwards.
        shell: one of `SHELLS`.

    Raises:
        InputError: the list of the shipped styles is missing.
    """
    import shtab

    from .. import weights

    parser.add_argument("command", nargs="?", choices=["demo"])  # `__main__` takes it before a parser sees it
    for action in parser._actions:
        if action.dest in PATHS:
            action.complete = {**shtab.FILE, "bash": "_ppcartoon_files"}
        elif action.dest == "style":
            action.choices = sorted(weights.manifest())
    options = shlex.quote(" ".join(parser._option_string_actions))
    return shtab.complete(parser, shell, preamble={"bash": BASH.format(options=options)})
