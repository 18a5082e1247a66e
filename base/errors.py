"""The one exception tree. Every error that a user can meet is a `ZooError`; its class carries the exit code.

ZooError
├── UsageError          2   the command line, the catalog or the Python call is wrong
├── FetchError          3   a file could not be brought here, or is not what was published
├── ConversionError     4   a source cannot be read or cannot be expressed in the target format
├── MissingBackend      5   an asked-for package, backend or device is not on this machine
└── VerificationError   1   a parity or speed gate failed, or a verdict could not be reached

What the system refuses (an OSError: a folder that cannot be written, a full disk) ends the command with 2. Everything
else that escapes is a bug in zoo and shows a traceback.
"""

from __future__ import annotations


class ZooError(Exception):
    """Base of all expected errors.

    The message says what is wrong, where (file:line, layer or node), what was expected and what was found;
    `hint` says what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class VerificationError(ZooError):
    """A parity or speed gate failed, or no verdict could be reached."""

    exit_code = 1


class UsageError(ZooError):
    """The command line, the catalog or the Python call is wrong."""

    exit_code = 2


class FetchError(ZooError):
    """A file could not be brought here, or is not what was published."""

    exit_code = 3


class ConversionError(ZooError):
    """A source cannot be read, or cannot be expressed in the target format."""

    exit_code = 4


class MissingBackend(ZooError):
    """An asked-for package, backend or device is not on this machine."""

    exit_code = 5
