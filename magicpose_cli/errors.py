"""The one family of errors a user meets.

A message says what happened (with the value), what was expected and what to do next, in one line.
The command line prints it and exits with 1; anything else is a bug and keeps its traceback.
"""

MAX_MESSAGE_CHARS = 3000


def printable(text: str) -> str:
    """Return the text with its line ends and control characters escaped, safe for a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class MagicPoseError(Exception):
    """Base of every error that the user can mend.

    A message may hold names from files of unknown origin: their line ends and control characters
    are escaped, and a message beyond MAX_MESSAGE_CHARS loses its middle.
    """

    def __init__(self, message: str):
        line = printable(message)
        if len(line) > MAX_MESSAGE_CHARS:
            line = f"{line[: MAX_MESSAGE_CHARS - 400]}...{line[-390:]}"
        super().__init__(line)


class InputError(MagicPoseError):
    """A reference, driver or pose file cannot be used."""


class OutputError(MagicPoseError):
    """The result cannot be written where it was asked for."""


class ConfigError(MagicPoseError):
    """A preset or an option has a wrong value; the message lists every mistake with its path."""


class ModelError(MagicPoseError):
    """A model folder, checkpoint or one of its parts is missing or does not fit."""


class DetectionError(MagicPoseError):
    """No person was found where one is needed."""


class DeviceError(MagicPoseError):
    """The device cannot do what was asked, most often for lack of memory."""


class TrainingError(MagicPoseError):
    """A training run cannot go on; its last checkpoint is intact."""
