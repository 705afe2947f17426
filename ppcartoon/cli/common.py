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

from ..errors import DiskFullError, InputError, Interrupted, UnavailableError, printable
from ..utils.files import FULL
from ..utils.libraries import needs
from ..utils.timecode import parse_time

EXIT_CODES = (
    "exit codes: 0 all done; 1 some inputs failed, each is named, or the disk is full; "
    "2 the request cannot be carried out; "
    "130 or 143 interrupted by Ctrl-C or SIGTERM"
)
SHOWN = 20  # messages of one kind in full


def parser(program: str, description: str, examples: str, epilog: str = "") -> argparse.ArgumentParser:
    """A parser whose help ends with examples, one per line, and the exit codes."""
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
    part: str,
    resume: str = "",
    say: Callable[[str], None] | None = None,
) -> int:
    """Runs a subcommand; turns its errors into one message and an exit code.

    Args:
        program: the start of the message, such as "ppcartoon train".
        command: returns 0, or 1 if some inputs failed.
        part: of the package, a key of `libraries.MODULES`.
        resume: appended to "interrupted": what is finished, and how to continue.
        say: writes the message; None for a line on standard error.

    Returns:
        The code of the command; 2 if the request cannot be carried out; 128 plus the number of a signal that ended it;
        1 if the disk is full or standard output was closed, as `head` does.
    """
    say = say or (lambda message: tell(program, message))
    end_by_sigterm()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not in notebooks
            stream.reconfigure(errors="backslashreplace")  # file names may contain any bytes
    try:
        with needs(part):
            code = command()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python's final flush would fail otherwise
        return 1
    except KeyboardInterrupt as error:
        say(str(error) or f"interrupted{resume}")
        return 128 + getattr(error, "number", signal.SIGINT)
    except ImportError as error:  # damaged, or too little memory
        say(f"a library cannot be loaded: {' '.join(str(error).split())}")
    except MemoryError:
        say("not enough memory")
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        say("not enough memory, or too many threads")
    except (InputError, UnavailableError, OSError) as error:
        say(" ".join(str(error).split()))
        if isinstance(error, DiskFullError) or getattr(error, "errno", None) in FULL:
            return 1
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
    """Writes the first messages, one per line, and the number of the others."""
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


def number(least: float = 0, above: float = -math.inf, most: float = math.inf) -> Callable[[str], float]:
    """The argparse type of a finite number from `least` to `most`, and greater than `above`."""

    def finite(text: str) -> float:
        if not (least <= (value := float(text)) < math.inf and above < value <= most):
            limit = f"at least {least}" if above < least else f"greater than {above}"
            limit = limit if most == math.inf else f"in {least}-{most}"
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
