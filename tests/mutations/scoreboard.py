"""`make mutations`: breaks models in every known way, runs right ones with many seeds, and prints the score.

    python -m tests.mutations.scoreboard [--quick] [--part tiny|darknet|tensorflow|saturated]

Prints one line for each fault that was not caught as it should be, then three figures: faults caught with the right
explanation, false alarms, and how often the bisection names the layer that was changed. Exits with 1 where a fault
is missed, a right model fails, or fewer than 95 % of the layers are named. The TensorFlow part needs the test data.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tests.conftest import DATA
from tests.mutations import darknet_kinds, kinds, networks, saturated_kinds, tensorflow_kinds
from tests.mutations.kinds import Mutation, on_attribute, on_constant, one_weight, swapped
from tests.mutations.networks import OPTIONS, Subject
from tests.verify import tiny
from zoo.verify import Options, Report
from zoo.verify.bisect import OUTPUT
from zoo.verify.result import Departure
from zoo.verify.truth_tensorflow import TensorFlowReference
from zoo.verify.verdict import FAIL, INCONCLUSIVE, PASS

ENOUGH = 0.95  # of the changed layers the bisection must name
ON_THREE = dataclasses.replace(OPTIONS, batches=(3,))  # one run of the whole table, not two
SEEDS = {"tiny": 120, "darknet": 70, "tensorflow": 10, "saturated": 5}


@dataclass
class Score:
    """What was found so far."""

    caught: int = 0
    faults: int = 0
    alarms: int = 0
    right: int = 0
    named: int = 0
    layers: int = 0
    lines: list[str] = field(default_factory=list)

    def add_fault(self, kind: str, report: Report, words: str, place: object) -> None:
        """A fault is caught if the verdict is a failure, for the reason and at the layer that are right."""
        found = _place(report.departure, place)
        good = report.judgement.verdict == FAIL and words in report.judgement.reason and found
        self.faults += 1
        self.caught += good
        if not good:
            self._tell(f"MISSED {kind}: {report.judgement.reason or report.judgement.verdict}; {report.departure}")

    def add_right(self, kind: str, report: Report, *others: str) -> None:
        """A right model passes, or has one of the `others`: "inconclusive" where some inputs prove nothing."""
        self.right += 1
        verdict = report.judgement.verdict
        if verdict not in (PASS, *others):
            self.alarms += 1
            self._tell(f"FALSE ALARM {kind}: {verdict}: {report.judgement.reason}")

    def add_layer(self, kind: str, report: Report, place: object) -> None:
        """A fault that does not fail has no layer to name: it is in the noise, and not counted."""
        if report.judgement.verdict == FAIL:
            self.layers += 1
            good = _place(report.departure, place)
            self.named += good
            if not good:
                where = report.departure.where if report.departure else "no layer"
                self._tell(f"NOT NAMED {kind}: {where}")

    def summary(self) -> str:
        share = self.named / self.layers if self.layers else 0.0
        return (
            f"{self.caught} of {self.faults} faults caught with the right explanation\n"
            f"{self.alarms} false alarms in {self.right} runs of right models\n"
            f"bisection names the changed layer in {self.named} of {self.layers} ({share:.1%})"
        )

    @property
    def is_good(self) -> bool:
        return 0 < self.caught == self.faults and not self.alarms and self.named >= ENOUGH * self.layers

    def _tell(self, line: str) -> None:
        self.lines.append(line)
        print(line, flush=True)


def _place(departure: Departure | None, wanted: object) -> bool:
    """Whether the layer is right: its index, or how the name of its node begins; None where the fault is behind all
    layers: then only an output can be named."""
    if departure is None or wanted is None:
        return wanted is None and (departure is None or departure.type == OUTPUT)
    return departure.layer == wanted if isinstance(wanted, int) else departure.name.startswith(str(wanted))


def tiny_part(score: Score, folder: Path, share: float) -> None:
    """The detector made by hand, and right ones with other weights and inputs."""
    model = tiny.detector()
    reference = tiny.TinyReference(model)
    subject = Subject(tiny.write(model, folder / "tiny", reference.sources), reference)
    _faults(score, subject, kinds.MUTATIONS, folder)
    for seed in range(round(SEEDS["tiny"] * share)):
        other = tiny.TinyReference(tiny.detector(seed))
        artifact = tiny.write(other.model, folder / "right", other.sources)
        options = dataclasses.replace(OPTIONS, seed=seed)
        score.add_right(f"tiny, seed {seed}", Subject(artifact, other).verified(artifact, options))


def darknet_part(score: Score, folder: Path, share: float) -> None:
    """A real conversion of a network with two heads, with and without its own suppression."""
    subject = networks.darknet(folder / "plain")
    _faults(score, subject, darknet_kinds.MUTATIONS, folder)
    _faults(score, networks.darknet(folder / "nms", nms=True), darknet_kinds.SUPPRESSION, folder)
    for seed in range(round(SEEDS["darknet"] * share)):
        options = dataclasses.replace(ON_THREE, seed=seed)
        score.add_right(f"darknet, seed {seed}", _right(folder / f"seed{seed}", seed, options))
    for layer in networks.CONVOLUTIONS:
        for kind, mutate in layer_faults(layer).items():
            report = subject.verified(subject.broken(mutate, folder / "broken"), ON_THREE)
            score.add_layer(f"{kind} of layer {layer}", report, layer)


def _right(folder: Path, seed: int, options: Options) -> Report:
    subject = networks.darknet(folder, seed)
    return subject.verified(subject.artifact, options)


def layer_faults(layer: int) -> dict[str, Mutation]:
    """What may be wrong with one convolution."""
    name = f"{layer:03d}_convolutional"
    faults: dict[str, Mutation] = {
        "a weight": on_constant(f"{name}.kernel", one_weight),
        "the smallest weight": on_constant(f"{name}.kernel", _least_off),
        "a channel": on_constant(f"{name}.kernel", swapped(0, 1)),
        "the bias": on_constant(f"{name}.bias", np.zeros_like),
        "one bias": on_constant(f"{name}.bias", _one_dropped),
    }
    if layer in (0, 2, 5, 10):
        faults["the slope"] = on_attribute(name, "alpha", 0.11)
    return faults


def _least_off(weights: Any) -> Any:
    """The number nearest to a tenth of the largest, off by a tenth of itself."""
    sizes = np.abs(weights)
    weights.flat[np.abs(sizes - sizes.max() / 10).argmin()] *= 1.1
    return weights


def _one_dropped(bias: Any) -> Any:
    bias[np.abs(bias).argmax()] = 0
    return bias


def tensorflow_part(score: Score, folder: Path, share: float) -> None:
    """The small SSD of the test data: the reference is TensorFlow running the original file."""
    subject = networks.ssd(DATA, folder)
    assert isinstance(subject.reference, TensorFlowReference)
    with ExitStack() as open_processes:
        open_processes.enter_context(subject.reference)
        _faults(score, subject, tensorflow_kinds.MUTATIONS, folder, ON_THREE)
        for seed in range(round(SEEDS["tensorflow"] * share)):
            options = dataclasses.replace(ON_THREE, seed=seed)
            score.add_right(f"tensorflow, seed {seed}", subject.verified(subject.artifact, options))
        names = tensorflow_kinds.convolutions(onnx.load(subject.artifact.model))
        for name in names[:: round(1 / share)]:
            mutate = tensorflow_kinds.on_convolution(name, 1, tensorflow_kinds.largest_off)
            report = subject.verified(subject.broken(mutate, folder / "broken"), ON_THREE)
            score.add_layer(f"a weight of {name}", report, name.rpartition("/")[0])


def saturated_part(score: Score, folder: Path, share: float) -> None:
    """Two exports of the test data that their random weights saturate: most inputs prove nothing of the detections of
    the first."""
    tables = (
        (networks.EFFICIENTDET, saturated_kinds.EFFICIENTDET, (INCONCLUSIVE,)),
        (networks.MASK_RCNN, saturated_kinds.MASK_RCNN, ()),
    )
    for name, table, others in tables:
        subject = networks.saved_model(DATA, folder, name)
        assert isinstance(subject.reference, TensorFlowReference)
        with subject.reference:
            for kind, (mutate, words) in table.items():
                report = subject.verified(subject.broken(mutate, folder / "broken"), ON_THREE)
                score.add_fault(kind, report, words, "" if report.departure else None)
            for seed in range(max(1, round(SEEDS["saturated"] * share))):
                options = dataclasses.replace(ON_THREE, seed=seed)
                score.add_right(f"{name}, seed {seed}", subject.verified(subject.artifact, options), *others)


def _faults(
    score: Score,
    subject: Subject,
    table: Mapping[str, tuple[Mutation, str, Any]],
    folder: Path,
    options: Options = OPTIONS,
) -> None:
    for kind, (mutate, words, place) in table.items():
        report = subject.verified(subject.broken(mutate, folder / "broken"), options)
        score.add_fault(kind, report, words, place)


PARTS: dict[str, Callable[[Score, Path, float], None]] = {
    "tiny": tiny_part,
    "darknet": darknet_part,
    "tensorflow": tensorflow_part,
    "saturated": saturated_part,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Break models in every known way.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the seeds and layers")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be given again")
    arguments = parser.parse_args()
    share = 0.1 if arguments.quick else 1.0
    score, there = Score(), (DATA / "models" / "tf").is_dir()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.part or PARTS:
            if name not in ("tensorflow", "saturated") or there:
                start = time.monotonic()
                PARTS[name](score, Path(folder) / name, share)
                print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    print(score.summary())
    if not there:
        print(f"TensorFlow left out: {DATA} is not there")
    return 0 if score.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
