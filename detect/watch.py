"""Looks at frames with one model in one or several formats: reading, preparing, inference and drawing overlap.

A team is what one worker runs: the same model in every format asked for, on one device. Several teams share the
frames; the sights come in the order of the frames whatever team was first.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from zoo.detect.detector import Detector, Prepared, Raw
from zoo.detect.sources import Frame
from zoo.detect.stream import stream
from zoo.verify.detections import Truth, match
from zoo.vision.draw import draw_detections, draw_on
from zoo.vision.nms import Detections
from zoo.vision.preprocess import Pixels
from zoo.vision.side_by_side import Panel, side_by_side

Team = Sequence[Detector]


@dataclass(frozen=True)
class Difference:
    """Where a format departs from the first: positions of detections that only one of them has, or that are off.

    `borderline` counts those that a tie or a score at the threshold explains.
    """

    missing: tuple[int, ...] = ()
    surplus: tuple[int, ...] = ()
    off: tuple[int, ...] = ()
    borderline: int = 0

    @property
    def is_none(self) -> bool:
        """Whether a person would see the same."""
        return not (self.missing or self.surplus or self.off)

    @property
    def here(self) -> frozenset[int]:
        """The positions, among this format's detections, of those that differ."""
        return frozenset((*self.surplus, *self.off))

    @property
    def finding(self) -> str:
        """In words."""
        counts = {"missing": len(self.missing), "only here": len(self.surplus), "off": len(self.off)}
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "the same detections"
        return told + (f" ({self.borderline} borderline)" if self.borderline else "")


@dataclass(frozen=True)
class Sight:
    """A frame and what every format sees in it, in the order of the formats.

    `differences` are to the first, whose own is empty; `picture`, uint8 [H, W, 3] RGB, is drawn, with several formats
    side by side, and None where no drawing was asked for.
    """

    frame: Frame
    found: tuple[Detections, ...]
    seconds: tuple[float, ...]
    differences: tuple[Difference, ...]
    picture: Pixels | None


@dataclass
class _Task:
    """A frame on its way through the stages."""

    frame: Frame
    prepared: list[Prepared] = field(default_factory=list)
    raw: list[Raw] = field(default_factory=list)


def watch(
    teams: Sequence[Team], frames: Iterable[Frame], *, threads: int = 1, draw: bool = True
) -> Generator[Sight, None, None]:
    """What the teams see in the frames, in order. `threads` prepare frames, and as many draw; each team has one.

    At most a few frames for each thread are in memory at a time.
    """
    any_team = Looking(teams[0], draw)
    stages = (
        [any_team.prepare] * threads,
        [Looking(team, draw).infer for team in teams],
        [any_team.finish] * threads,
    )
    return stream(frames, stages, ahead=2 * (len(teams) + 2 * threads))


class Looking:
    """The three steps of a team; called in turn they are a look at one frame."""

    def __init__(self, team: Team, draw: bool = True) -> None:
        self._team, self._draw = team, draw

    def __call__(self, frame: Frame) -> Sight:
        return self.finish(self.infer(self.prepare(frame)))

    def prepare(self, frame: Frame) -> _Task:
        """Formats that take the same input share it."""
        shared = {one.input: one.prepare(frame.pixels) for one in {d.input: d for d in self._team}.values()}
        return _Task(frame, [shared[one.input] for one in self._team])

    def infer(self, task: _Task) -> _Task:
        """One format after the other."""
        task.raw = [one.infer(prepared) for one, prepared in zip(self._team, task.prepared, strict=True)]
        return task

    def finish(self, task: _Task) -> Sight:
        """Detections, comparison, drawing."""
        steps = zip(self._team, task.raw, task.prepared, strict=True)
        found = tuple(one.finish(raw, prepared) for one, raw, prepared in steps)
        differences = self._compare(task, found)
        seconds = tuple(raw.seconds for raw in task.raw)
        picture = self._picture(task.frame, found, seconds, differences) if self._draw else None
        return Sight(task.frame, found, seconds, differences, picture)

    def _compare(self, task: _Task, found: Sequence[Detections]) -> tuple[Difference, ...]:
        if len(found) == 1:
            return (Difference(),)
        truth = self._team[0].truth(task.raw[0], task.prepared[0], found[0])
        return (Difference(), *(compare_with(truth, other) for other in found[1:]))

    def _picture(
        self,
        frame: Frame,
        found: Sequence[Detections],
        seconds: Sequence[float],
        differences: Sequence[Difference],
    ) -> Pixels:
        labels = self._team[0].artifact.labels
        if len(found) == 1:
            return draw_on(frame.pixels, found[0], labels)
        missing = frozenset(position for one in differences for position in one.missing)
        marks = [missing, *(one.here for one in differences[1:])]
        panels = [
            Panel(
                draw_detections(frame.pixels, seen, labels, marked),
                f"{one.description} · {1000 * took:.1f} ms",
                f"{len(seen)} detections" + (f": {difference.finding}" if position else ""),
                difference.is_none,
            )
            for position, (one, seen, took, difference, marked) in enumerate(
                zip(self._team, found, seconds, differences, marks, strict=True)
            )
        ]
        return np.asarray(side_by_side(panels))


def compare_with(truth: Truth, found: Detections) -> Difference:
    """Where `found` departs from the truth, in positions of both."""
    matched = match(found, truth)
    borderline = [why for _, why in (*matched.only_reference, *matched.only_candidate) if why]
    return Difference(
        missing=tuple(position for position, why in matched.only_reference if not why),
        surplus=tuple(position for position, why in matched.only_candidate if not why),
        off=tuple(pair.candidate for pair in matched.pairs if pair.excess),
        borderline=len(borderline),
    )
