"""What the first bytes of an answer betray: servers send pages where files should be."""

from __future__ import annotations

import re

_SIGNS = (
    (re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|script)\b", re.I | re.S), "an HTML page"),
    (re.compile(rb"\s*<\?xml\b"), "an XML document (as storage servers answer errors)"),
    (re.compile(rb"version https://git-lfs\.github\.com/spec/"), "a git-lfs pointer"),
    (re.compile(rb'\s*\{\s*"(?:error|message|errors|detail)"\s*:'), "a JSON error message"),
)


def what_it_looks_like(first: bytes) -> str:
    """What is certainly no model file, in words; "" where the beginning could be one."""
    start = first[:2048].removeprefix(b"\xef\xbb\xbf")
    return next((name for sign, name in _SIGNS if sign.match(start)), "")
