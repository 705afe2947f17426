"""The errors that a user can cause."""


class InputError(ValueError):
    """Something given from outside is wrong; the message is one line: what, with which file or key, and what to do."""


class OutputError(InputError):
    """A file cannot be written, so that there is no sense in going on with the next."""


class Interrupted(KeyboardInterrupt):
    """The user ended it early, by Ctrl-C or a signal; the message is one line: what is there all the same."""
