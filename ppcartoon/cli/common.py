"""What all subcommands share: exit codes, error messages, argparse types and the look of the help."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from ..errors import InputError, Interrupted, printable
from ..utils.timecode import parse_time

EXIT_CODES = (
    "exit codes: 0 all done; 1 some inputs failed, each is named; 2 the request cannot be carried out; "
    "130 or 143 interrupted by Ctrl-C or SIGTERM"
)
SHOWN = 20  # messages of one kind in full


def parser(program: str, description: str, examples: str, epilog: str = "") -> argparse.ArgumentParser:
    """A parser whose help ends with examples, one a line, and the exit codes."""
    lines = "".join(f"  {line.strip()}\n" for line in examples.strip().splitlines())
    return argparse.ArgumentParser(
        program,
        description=description,
        epilog=f"examples:\n{lines}\n{epilog}{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(
    program: str,
    command: Callable[[], int],
    install: str,
    resume: str = "",
    say: Callable[[str], None] | None = None,
) -> int:
    """Runs a subcommand, and turns how it ends into one message and one exit code.

    Args:
        program: starts the message, as in "ppcartoon train".
        command: gives 0, or 1 where some inputs failed.
        install: what a missing library is installed with.
        resume: added to "interrupted": what is there, and how to continue.
        say: writes the message; None for a line on standard error.

    Returns:
        The command's own code; 2 where the request cannot be carried out; 128 plus the signal's number where a signal
        ended it; 1 where the reader of our output has left, as `head` does.
    """
    say = say or (lambda message: tell(program, message))
    end_by_sigterm()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not in notebooks
            stream.reconfigure(errors="backslashreplace")  # file names may be any bytes
    try:
        code = command()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would flush what is left, and fail
        return 1
    except KeyboardInterrupt as error:
        say(str(error) or f"interrupted{resume}")
        return 128 + getattr(error, "number", signal.SIGINT)
    except ModuleNotFoundError as error:
        say(f"{error.name} is not installed; this needs: {install}")
    except (InputError, OSError) as error:
        say(" ".join(str(error).split()))
    return 2


def end_by_sigterm() -> None:
    """Makes SIGTERM unwind the program as Ctrl-C does, so that temporary files are removed."""

    def end(*_: object) -> None:
        raise Interrupted("", signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def tell(program: str, message: object, stream: TextIO | None = None) -> None:
    """Writes one line to standard error, or another stream."""
    print(f"{program}: {printable(message)}", file=stream or sys.stderr)


def tell_all(program: str, messages: list[str], shown: int = SHOWN, stream: TextIO | None = None) -> None:
    """Writes the first messages, a line each, and how many more there are."""
    for message in messages[:shown]:
        tell(program, message, stream)
    if len(messages) > shown:
        tell(program, f"and {len(messages) - shown} more like these", stream)


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """The argparse type of an integer from `least` to `most`."""

    def integer(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(
                f"{text} is not " + (f"at least {least}" if most is None else f"in {least}-{most}")
            )
        return value

    return integer


def number(least: float = 0, above: float = -math.inf) -> Callable[[str], float]:
    """The argparse type of a finite number that is at least `least`, and greater than `above`."""

    def finite(text: str) -> float:
        if not (least <= (value := float(text)) < math.inf and value > above):
            limit = f"at least {least}" if above < least else f"greater than {above}"
            raise argparse.ArgumentTypeError(f"{text} is not {limit}")
        return value

    return finite


def time(text: str) -> float:
    """The argparse type of seconds, as in 90, 1:30 or 0:01:30.5."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def file_ending(suffix: str) -> Callable[[str], Path]:
    """The argparse type of a path that ends in `suffix`."""

    def path(text: str) -> Path:
        if Path(text).suffix.lower() != suffix:
            raise argparse.ArgumentTypeError(f"{text} does not end in {suffix}")
        return Path(text)

    return path
