"""Loops whose end depends on data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def repeat(
    unfinished: Callable[..., Tensor], advance: Callable[..., tuple[Tensor, ...]], state: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """`state` after as many calls of `advance` as `unfinished` asks for. Shapes and types stay the same."""
    if torch.compiler.is_exporting():
        return tuple(torch.while_loop(unfinished, advance, state))
    while bool(unfinished(*state)):
        state = advance(*state)
    return state
