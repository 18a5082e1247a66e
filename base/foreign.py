"""What a file is that was saved under a model's name: the page of a login, a pointer to the file, an archive of it."""

from __future__ import annotations

HEAD = 64  # bytes that are enough to tell
# How such files begin, blanks left out and in lower case.
BEGINNINGS = {
    b"<!doctype": "an HTML page",
    b"<html": "an HTML page",
    b"<?xml": "an XML page",
    b"version https://git-lfs": "a git-lfs pointer, not the file it stands for",
    b"pk\x03\x04": "a zip archive (PyTorch's .pt files are such)",
    b"\x1f\x8b": "a gzip archive",
    b"\xfd7zxz": "an xz archive",
    b"\x89hdf": "an HDF5 file",
    b"\x80\x02": "a Python pickle",
    b"[net]": "a Darknet cfg",
    b"model {": "a pipeline.config",
}


def what_it_is(head: bytes) -> str:
    """In words, what a file that begins with `head` certainly is; "" where it could be a model."""
    text = head[:HEAD].lstrip().lower()
    return next((what for beginning, what in BEGINNINGS.items() if text.startswith(beginning)), "")
