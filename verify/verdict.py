"""Verdicts: "pass", "fail", "inconclusive". What proves nothing is inconclusive, and only a pass is a pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reason in words ("" for a pass)."""

    verdict: str
    reason: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in (PASS, FAIL, INCONCLUSIVE):
            raise ValueError(f"{self.verdict!r} is no verdict")


def worst(judgements: Iterable[Judgement]) -> Judgement:
    """The first failure, else the first inconclusive one, else a pass; inconclusive for none at all."""
    order = list(judgements) or [Judgement(INCONCLUSIVE, "nothing was compared")]
    for verdict in (FAIL, INCONCLUSIVE):
        for judgement in order:
            if judgement.verdict == verdict:
                return judgement
    return Judgement(PASS)


def overall(parts: Iterable[tuple[str, Judgement]]) -> Judgement:
    """The verdict over named parts: the worst, its reason led by the name of the part."""
    return worst(Judgement(one.verdict, f"{name}: {one.reason}" if one.reason else "") for name, one in parts)
