"""What the page can ask for: the models, their verdicts, and detections. Knows nothing of HTTP.

Models stay loaded, a few at a time. One inference runs at a time, so that the speeds shown do not disturb each other.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from zoo.base.artifact import Artifact, read_artifact
from zoo.base.errors import UsageError, ZooError
from zoo.catalog import Card, Catalog, Store
from zoo.detect.detector import Detector, Prepared, Raw, open_detector
from zoo.detect.watch import Difference, compare_with
from zoo.pipeline.models import RUNNABLE, find_models
from zoo.verify.runtimes.protocol import Settings
from zoo.vision.contract import Rule
from zoo.vision.draw import class_colour, label_of
from zoo.vision.masks import encode_mask
from zoo.vision.nms import Detections
from zoo.vision.preprocess import Pixels, load_pixels

LOADED = 6  # models in memory at a time
TASKS = ("detection", "instance-segmentation")


class UnknownModel(UsageError):
    """A name that is not among the models."""


class BadPicture(UsageError):
    """What was sent is no picture, or cannot be read."""


@dataclass(frozen=True)
class _Step:
    """One format on one picture: detections, and the seconds of each step."""

    detector: Detector
    prepared: Prepared
    raw: Raw
    found: Detections
    seconds: dict[str, float]


class Library:
    """The models of the catalog and `own` ones (name → what `find_models` takes), and those that are loaded."""

    def __init__(self, catalog: Catalog, store: Store, own: Mapping[str, str], threads: int) -> None:
        self._catalog, self._store, self._own = catalog, store, dict(own)
        self._settings = Settings(threads=threads)
        self._loaded: OrderedDict[tuple[str, str], Detector] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def models(self) -> list[dict[str, Any]]:
        """The user's own first, then those of the catalog that are here, then the others."""
        own = [{"name": name, "family": "own", "task": "detection", "here": True} for name in self._own]
        cards = [self._described(card) for card in self._catalog.values() if card.task in TASKS]
        return [*own, *sorted(cards, key=lambda one: not one["here"])]

    def verdicts(self, name: str) -> list[dict[str, Any]]:
        """Every verdict on what was converted from a model, with its format. Raises UnknownModel."""
        self._known(name)
        return [
            {"format": artifact.format, "artifact": artifact.folder.name, **verdict}
            for artifact in self._artifacts(name)
            for verdict in artifact.verdicts
        ]

    def detect(self, name: str, formats: Sequence[str], rule: Rule, content: bytes) -> dict[str, Any]:
        """What a model sees in a picture, in each format, compared with the first one.

        Raises UnknownModel, BadPicture, UsageError for a format, and what converting and loading raise.
        """
        self._known(name)
        for format in formats:
            if format not in RUNNABLE:
                raise UsageError(f"unknown format {format!r}", hint=f"formats are: {', '.join(RUNNABLE)}")
        with self._one_at_a_time:  # the decoding too: a hundred megapixels are 300 MB
            pixels = read_picture(content)
            steps = [_look(self._detector(name, format, rule), pixels) for format in formats]
        first = steps[0]
        truth = first.detector.truth(first.raw, first.prepared, first.found)
        differences = [Difference(), *(compare_with(truth, step.found) for step in steps[1:])]
        missing = {position for one in differences for position in one.missing}
        return {
            "model": name,
            "picture": {"width": pixels.shape[1], "height": pixels.shape[0]},
            "threshold": rule.threshold,
            "iou": rule.iou,
            "results": [
                _result(step, one, missing if step is first else one.here, (pixels.shape[1], pixels.shape[0]))
                for step, one in zip(steps, differences, strict=True)
            ],
        }

    def close(self) -> None:
        """Give every model back."""
        with self._one_at_a_time:
            while self._loaded:
                self._loaded.popitem()[1].close()

    def _known(self, name: str) -> None:
        if name not in self._own and name not in self._catalog:
            raise UnknownModel(f"no model is called {name!r}", hint="GET /v1/models lists them")

    def _described(self, card: Card) -> dict[str, Any]:
        shipped = all(url.startswith("package:") for file in card.files for url in file.urls)
        here = shipped or self._store.record(card.name).is_file()
        return {"name": card.name, "family": card.family, "task": card.task, "here": here}

    def _artifacts(self, name: str) -> list[Artifact]:
        found = []
        for folder in self._store.artifact_folders(name) if name in self._catalog else ():
            with suppress(ZooError):
                found.append(read_artifact(folder))
        return found

    def _detector(self, name: str, format: str, rule: Rule) -> Detector:
        """The loaded model, with this rule around it; the one unused for longest makes room for a new one."""
        key = (name, format)
        if key not in self._loaded:
            (artifact,) = find_models(
                self._own.get(name, name), (format,), catalog=self._catalog, store=self._store, offline=True
            )
            while len(self._loaded) >= LOADED:
                self._loaded.popitem(last=False)[1].close()
            self._loaded[key] = open_detector(artifact, rule, "cpu", self._settings)
            self._loaded[key].warm_up()
        self._loaded.move_to_end(key)
        return self._loaded[key].with_rule(rule)


def read_picture(content: bytes) -> Pixels:
    """uint8 [H, W, 3] RGB; BadPicture where these bytes are none."""
    try:
        return load_pixels(BytesIO(content), "the picture that was sent")
    except UsageError as error:
        raise BadPicture(error.message, hint=error.hint) from error


def _look(detector: Detector, pixels: Pixels) -> _Step:
    start = time.perf_counter()
    prepared = detector.prepare(pixels)
    ready = time.perf_counter()
    raw = detector.infer(prepared)
    done = time.perf_counter()
    found = detector.finish(raw, prepared)
    seconds = {"prepare": ready - start, "inference": raw.seconds, "finish": time.perf_counter() - done}
    return _Step(detector, prepared, raw, found, seconds)


def _result(
    step: _Step, difference: Difference, marked: frozenset[int] | set[int], size: tuple[int, int]
) -> dict[str, Any]:
    artifact, runner = step.detector.artifact, step.detector.runner
    return {
        "format": artifact.format,
        "runtime": runner.runtime,
        "device": runner.device,
        "seconds": step.seconds,
        "same": difference.is_none,
        "finding": difference.finding,
        "verdicts": _standing(artifact),
        "detections": [
            _detection(step.found, number, artifact.labels, number in marked, size) for number in range(len(step.found))
        ],
    }


def _detection(
    found: Detections, number: int, labels: Sequence[str], differs: bool, size: tuple[int, int]
) -> dict[str, Any]:
    box, label = found.boxes[number], int(found.classes[number])
    x, y, width, height = box.tolist()
    mask = {} if found.masks is None else {"segmentation": encode_mask(found.masks[number], box, size)}
    return {
        "label": label_of(label, labels),
        "class": label,
        "score": float(found.scores[number]),
        "box": [x - width / 2, y - height / 2, width, height],
        "colour": "#{:02x}{:02x}{:02x}".format(*class_colour(label)),
        "differs": differs,
        **mask,
    }


def _standing(artifact: Artifact) -> list[dict[str, Any]]:
    """The verdicts on exactly these files."""
    files = {record.name: record.sha256 for record in artifact.files}
    with suppress(ZooError):
        verdicts = read_artifact(artifact.folder).verdicts
        return [one for one in verdicts if files.items() <= one.get("files", {}).items()]
    return []
