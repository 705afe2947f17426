"""The errors that a user can cause."""

import signal


def printable(text: object) -> str:
    """The text in one line that a terminal shows, whatever file names and damaged files have put into it."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return line if len(line) <= 1000 else f"{line[:700]} ... {line[-250:]}"


class InputError(ValueError):
    """Something given from outside is wrong; the message is one line: what, with which file or key, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class OutputError(InputError):
    """Output cannot be written; continuing is pointless."""


class Interrupted(KeyboardInterrupt):
    """Interrupted by Ctrl-C or a signal; the message says what was saved.

    Attributes:
        number: of the signal.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number
