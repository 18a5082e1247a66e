"""Text of strangers (class names, file names, catalogs, layers) before it is shown: nothing in it may act.

A terminal obeys control characters, and marks of direction make text read in another order than it stands. Neither
JSON nor files pass here: they keep what is.
"""

from __future__ import annotations

import re

# C0 but tab and newline, DEL, C1, lone surrogates, what is no character at all, and the marks of direction.
UNSAFE = re.compile("[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]")


def shown(text: str) -> str:
    """The text with U+FFFD for each character that is not safe on a terminal or in HTML; newlines and tabs stay."""
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)
