"""TensorFlow, without its chatter: every file of this room takes `tf` from here.

TensorFlow's C++ side writes to the terminal's stderr at import and while it converts, past Python and partly before
any log level is read. So its level is set in the environment before the import, and file descriptor 2 points
elsewhere meanwhile. With `ZOO_VERBOSE` set (the command's -v) nothing is held back. Nothing here converts anything.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from zoo.base.optional import require

__all__ = ["is_verbose", "quietly", "tf"]


def is_verbose() -> bool:
    """True where the user wants to see what TensorFlow says."""
    return bool(os.environ.get("ZOO_VERBOSE"))


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Hold back what native code and Python's warnings write to stderr; an exception still passes as itself."""
    if is_verbose():
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.dup2(sink.fileno(), 2)
            yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)


def _tensorflow() -> ModuleType:
    if not is_verbose():
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quietly():
        module = require("tensorflow", "converting to TensorFlow")
        if not is_verbose():
            module.get_logger().setLevel(logging.ERROR)
    return module


if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = _tensorflow()
