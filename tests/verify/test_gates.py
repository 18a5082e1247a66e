"""Conditions and baselines, on reports with made-up numbers: nothing is timed here."""

from __future__ import annotations

import dataclasses

import pytest

from zoo.base.errors import UsageError
from zoo.verify.baseline import against_baseline, time_ratio
from zoo.verify.gates import MEASURES, apply_conditions, parse_conditions
from zoo.verify.judge import judge_again
from zoo.verify.noise import Bounds
from zoo.verify.result import Compared, Device, Interval, Measurement, OutputResult, Report, SpeedResult
from zoo.verify.tensors import Difference
from zoo.verify.verdict import FAIL, PASS, Judgement

GOOD = Judgement(PASS)


def report(
    milliseconds: float = 10.0, *, wide: float = 0.02, speedup: float | None = None, **changes: object
) -> Report:
    """A pass with one output, 1e-5 off, and this median ± `wide` of it."""
    median = Interval(milliseconds / 1e3, milliseconds * (1 - wide) / 1e3, milliseconds * (1 + wide) / 1e3)
    memory = {"host": 10**8, "host_peak": 2 * 10**8}
    speed = SpeedResult(
        1, 100, 10, median, median.high, median.high, 1e3 / milliseconds, 0.01, median.value, memory, GOOD
    )
    measurement = Measurement("uniform", 1, Difference(10, max=1e-5, snr_db=90.0, rms=1e-6), 2.0, GOOD)
    output = OutputResult("boxes", GOOD, GOOD, Bounds(5e-6, 5e-6, 1e-6), 10.0, 2.0, (measurement,))
    beside = (
        (Compared("onnx", 1, 50, Interval(speedup, speedup * 0.98, speedup * 1.02), 1.01, True),) if speedup else ()
    )
    whole = Report(
        "model", "torch" if speedup else "onnx", "fp32", Device("cpu", "cpu", "runtime 1", 2), "the truth", GOOD,
        (), (), 0, (1,), (output,), None, speed, compared=beside, environment={"processor": "this one", "cpus": "2"},
    )  # fmt: skip
    return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]


def verdicts(text: str, *reports: Report) -> list[str]:
    return [one.judgement.verdict for one in apply_conditions(reports, parse_conditions(text))]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("fps>=100", PASS), ("fps>100", FAIL), ("fps>=101", FAIL), ("p95_ms<10", FAIL),
        ("median_ms<=10, p99_ms<11", PASS),
        ("max_abs<=1e-5", PASS), ("max_abs<=9e-6", FAIL), ("times_floor<=2", PASS), ("snr_db>=91", FAIL),
        ("host_peak_mb<=200", PASS), ("host_peak_mb<200", FAIL), ("device_peak_mb<200", FAIL), ("matched>=1", FAIL),
    ],
)  # fmt: skip
def test_conditions_are_judged(text: str, verdict: str) -> None:
    assert verdicts(text, report()) == [verdict]


def test_a_failed_condition_says_what_was_found() -> None:
    (failed,) = apply_conditions([report()], parse_conditions("fps>=200,max_abs<=1"))
    assert [gate.name for gate in failed.gates] == ["fps>=200", "max_abs<=1"]
    assert failed.judgement == Judgement(FAIL, "fps>=200: fps is 100")
    (unmeasured,) = apply_conditions([report(speed=None)], parse_conditions("fps>=1"))
    assert "not measured" in unmeasured.judgement.reason


def test_speedup_is_asked_of_all_but_the_first() -> None:
    assert verdicts("speedup>=1.2", report(), report(speedup=1.3)) == [PASS, PASS]
    assert verdicts("speedup>=1.2", report(), report(speedup=1.1)) == [PASS, FAIL]
    assert verdicts("speedup>=1.2", report()) == [FAIL]


def test_a_failure_keeps_its_own_reason() -> None:
    wrong = report(speed=None, judgement=Judgement(FAIL, "boxes are wrong"))
    (still,) = apply_conditions([wrong], parse_conditions("fps>=1,max_abs<=1"))
    assert still.judgement.reason == "boxes are wrong"
    assert [gate.name for gate in still.gates] == ["max_abs<=1"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("fps", "no condition"), ("fps==3", "no condition"), ("speed>3", "nothing is called 'speed'"),
     ("fps>fast", "not a number"), ("fps>nan", "not a number"), ("FPS>3", "no condition")],
)  # fmt: skip
def test_wrong_conditions_are_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_conditions(f"max_abs<1,{text}")


def test_every_measure_is_found_or_missing_without_an_error() -> None:
    bare = report(speed=None, outputs=())
    assert all(measure(bare) is None for measure in MEASURES.values())


def test_only_slower_beyond_the_interval_fails() -> None:
    def against(now: float, *before: float) -> list[str]:
        (judged,) = against_baseline([report(now)], [[report(then)] for then in before])
        assert judged.gates
        return [judged.judgement.verdict]

    assert against(10.0, 10.0) == [PASS]
    assert against(10.2, 10.0) == [PASS]  # inside the intervals, each 2 %
    assert against(10.5, 10.0) == [FAIL]
    assert against(5.0, 10.0) == [PASS]  # faster is no failure
    assert against(10.5, 10.0, 10.4) == [PASS]  # what runs of the baseline differ by is no regression


def test_the_ratio_has_the_interval_of_both() -> None:
    ratio = time_ratio(Interval(1.1, 1.07, 1.14), Interval(1.0, 0.97, 1.04))
    assert ratio.value == pytest.approx(1.1)
    assert ratio.low == pytest.approx(1.1 / (1.0 + 0.0483), rel=2e-3)
    assert time_ratio(Interval(2, 2, 2), Interval(1, 1, 1)) == Interval(2, 2, 2)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (report(1.0, environment={"processor": "another", "cpus": "2"}), "processor another, here this one"),
        (report(1.0, environment={"processor": "this one", "cpus": "2", "gpu": "big"}), "gpu big, here none"),
        (report(1.0, device=Device("cpu", "cpu", "runtime 1", 1)), "1 threads, here 2"),
        (report(1.0, name="another model"), "no speed for this"),
        (report(1.0, device=Device("cpu", "cpu", "another 1", 2)), "no speed for this"),
        (report(1.0, speed=None), "no speed for this"),
    ],
)
def test_what_cannot_be_compared_is_said_and_not_judged(other: Report, words: str) -> None:
    (judged,) = against_baseline([report()], [[other]])
    assert judged.passed
    assert not judged.gates
    assert words in judged.notes[0]


def test_another_version_on_the_same_machine_is_judged() -> None:
    newer = report(20.0, device=Device("cpu", "cpu", "runtime 2", 2))
    assert against_baseline([newer], [[report()]])[0].judgement.verdict == FAIL


def test_judging_again_keeps_the_conditions() -> None:
    (failed,) = apply_conditions([report()], parse_conditions("fps>=200"))
    assert judge_again(failed, tolerance=1.0).judgement.verdict == FAIL
    (mended,) = apply_conditions([judge_again(failed)], parse_conditions("fps>=50"))
    assert mended.judgement.verdict == FAIL  # the older condition stands beside the new one
