"""From frames to sights: detections on the picture, formats compared, workers sharing the frames."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.detect.making import SIDE, Fake, artifact, detector, picture
from tests.detect.tensorflow_like import write_mask_model
from zoo.base.artifact import TensorSpec
from zoo.base.errors import UsageError
from zoo.detect.detector import Detector, open_detector
from zoo.detect.sources import Frame, Source
from zoo.detect.watch import Looking, compare_with, watch
from zoo.pipeline.verify import read_model
from zoo.vision.contract import Rule
from zoo.vision.nms import Detections

SOURCE = Source(Path("clip.mp4"), True)


def frames(count: int) -> list[Frame]:
    """Redder and redder."""
    return [Frame(SOURCE, number, picture(40 + number * 4)) for number in range(count)]


def test_a_look_is_prepared_run_and_finished() -> None:
    sight = Looking([detector()])(Frame(SOURCE, 0, picture(200, 100)))
    (found,) = sight.found
    assert found.classes.tolist() == [0, 1]
    assert found.scores == pytest.approx([200 / 255, 100 / 255], abs=1e-6)
    assert found.boxes[0] == pytest.approx([0.5, 0.5, 0.4, 0.4])
    assert sight.picture is not None
    assert sight.picture.shape == (60, 80, 3)


def test_letterboxed_boxes_are_put_back_onto_the_picture() -> None:
    (found,) = Looking([detector(resize="letterbox")], draw=False)(Frame(SOURCE, 0, picture(255, 0, 64, 32))).found
    assert found.boxes[0] == pytest.approx([0.5, 0.5, 0.4, 0.8])
    assert SIDE == 32


def test_workers_share_the_frames_and_the_order_is_kept() -> None:
    teams = [[detector()], [detector()], [detector()]]
    sights = list(watch(teams, frames(40), threads=2))
    assert [sight.frame.number for sight in sights] == list(range(40))
    alone = [Looking(teams[0])(frame) for frame in frames(40)]
    for one, other in zip(sights, alone, strict=True):
        assert one.found[0].scores.tolist() == other.found[0].scores.tolist()
        assert one.picture is not None and other.picture is not None
        assert one.picture.tobytes() == other.picture.tobytes()


def test_formats_that_agree_are_the_same() -> None:
    sight = Looking([detector(), detector(shift=1e-4, format="torch")])(frames(40)[-1])
    assert [one.is_none for one in sight.differences] == [True, True]
    assert sight.differences[1].finding == "the same detections"


def test_a_box_elsewhere_is_marked_on_both_sides() -> None:
    looking = Looking([detector(), detector(shift=0.3, format="torch"), detector(shift=0.02, format="tf")])
    _, apart, off = looking(frames(40)[-1]).differences
    assert (apart.missing, apart.surplus, apart.off) == ((0,), (0,), ())
    assert apart.finding == "1 missing, 1 only here"
    assert (off.missing, off.off, off.is_none) == ((), (0,), False)


def test_several_formats_are_drawn_side_by_side() -> None:
    one = Looking([detector()])(frames(9)[-1]).picture
    two = Looking([detector(), detector(shift=0.3, format="torch")])(frames(40)[-1]).picture
    assert one is not None and two is not None
    height, width, _ = two.shape
    assert width > one.shape[1]
    assert width % 2 == height % 2 == 0
    magenta = (two == (255, 0, 200)).all(axis=-1)
    assert magenta[:, : width // 2].any() and magenta[:, width // 2 :].any()


def test_a_model_that_takes_several_pictures_at_a_time_is_refused() -> None:
    runner = Fake()
    runner.inputs = (TensorSpec("images", "float32", (4, 3, SIDE, SIDE)),)
    with pytest.raises(UsageError, match="takes 4 pictures"):
        Detector(artifact(), runner, Rule())


def test_what_a_model_with_its_own_suppression_sees_is_compared(tmp_path: Path) -> None:
    """Of its boxes before the suppression nothing is known: what another format lacks is missing."""
    write_mask_model(tmp_path / "masks.onnx")
    with closing(open_detector(read_model(tmp_path / "masks.onnx"), Rule())) as looking:
        prepared = looking.prepare(picture(200, 100))
        raw = looking.infer(prepared)
        found = looking.finish(raw, prepared)
        truth = looking.truth(raw, prepared, found)
    nothing = Detections(found.boxes[:0], found.scores[:0], found.classes[:0])
    assert compare_with(truth, found).is_none
    assert compare_with(truth, nothing).missing == (0,)
