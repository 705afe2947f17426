"""Errors that are reported to the user in one line."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


def printable(text: object) -> str:
    """The text in one line of at most about 1000 characters, with unprintable characters escaped."""
    return _shorten("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in _shorten(str(text))))


def _shorten(line: str) -> str:
    return line if len(line) <= 1000 else f"{line[:700]} ... {line[-250:]}"


class InputError(ValueError):
    """Invalid input; the message is one line that names the file or key, the problem and the remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class OutputError(InputError):
    """Output cannot be written; continuing is pointless."""


class DiskFullError(OutputError):
    """There is no space, or quota, for an output file."""


@contextmanager
def naming(name: object) -> Iterator[None]:
    """Puts the name of a file or key before the message of an InputError; an OutputError names its own file."""
    try:
        yield
    except OutputError:
        raise
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


class UnavailableError(Exception):
    """Another machine did not do its part; the message is one line, and the same may succeed later."""


class Interrupted(KeyboardInterrupt):
    """Interrupted by Ctrl-C or a signal; the message says what was saved.

    Attributes:
        number: of the signal.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number
