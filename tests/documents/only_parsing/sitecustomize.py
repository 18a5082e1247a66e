"""On the path of a Python program it makes the program end, with 0, as soon as its command line has been understood."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

understand = argparse.ArgumentParser.parse_args


def understand_and_end(
    parser: argparse.ArgumentParser, words: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
) -> NoReturn:
    understand(parser, words, namespace)
    raise SystemExit(0)


argparse.ArgumentParser.parse_args = understand_and_end  # type: ignore[assignment, method-assign]
