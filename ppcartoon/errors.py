"""The errors that a user can cause."""


def printable(text: object) -> str:
    """The text in one line, whatever file names and damaged files have put into it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


class InputError(ValueError):
    """Something given from outside is wrong; the message is one line: what, with which file or key, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class OutputError(InputError):
    """A file cannot be written, so that there is no sense in going on with the next."""
