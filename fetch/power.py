"""What a power failure can do: a file that was renamed may have lost bytes that had not reached the disk yet.

Forcing them there costs as much time as the download from a fast mirror. Where the system says which boot this is
(Linux), a file is instead hashed again when it is first looked at after another boot; elsewhere the bytes are forced
out.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


@cache
def boot_identity() -> str:
    """What differs from boot to boot, "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def force_out(descriptor: int) -> None:
    """Have the bytes of an open file reach the disk, unless another boot would be noticed."""
    if not boot_identity():
        os.fsync(descriptor)
