"""The floor, the margin, and what cannot prove anything."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.verify.noise import STORED, Bounds, judge_difference, judge_truth, noise_floor, times_floor
from zoo.verify.runtimes.protocol import Array
from zoo.verify.tensors import Difference, compare
from zoo.verify.verdict import FAIL, INCONCLUSIVE, PASS, Judgement, overall, worst

FLOOR = Bounds(max=1e-5, p999=1e-5, rms=1e-6)


def truth(seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((1, 1000))


def test_the_floor_is_the_largest_of_several_inputs() -> None:
    truths = [truth(0), truth(1)]
    noise = [truths[0] + 1e-4, truths[1] + 3e-4]
    floor = noise_floor([compare(n, t) for n, t in zip(noise, truths, strict=True)], truths)
    assert floor.max == pytest.approx(3e-4)
    assert floor.rms == pytest.approx(3e-4)


def test_the_floor_is_never_below_the_rounding_of_the_output() -> None:
    floor = noise_floor([compare(truth(), truth())], [truth()])
    assert floor.max == pytest.approx(STORED * np.abs(truth()).max())
    assert noise_floor([compare(truth() * 0, truth() * 0)], [truth() * 0]).max == STORED
    rounded = compare(truth().astype(np.float32), truth())
    assert judge_difference(rounded, floor, 1.0).verdict == PASS


def test_the_margin_that_would_just_pass() -> None:
    d = compare(truth() + 4e-6, truth())
    times = times_floor(d, FLOOR)
    assert times is not None
    assert times == pytest.approx(4, rel=1e-6)
    assert judge_difference(d, FLOOR, times * 1.001).verdict == PASS
    assert judge_difference(d, FLOOR, times * 0.999).verdict == FAIL


def test_nothing_is_within_a_margin_or_a_floor_that_is_nan() -> None:
    d = compare(truth() + 4e-6, truth())
    assert judge_difference(d, FLOOR, np.nan).verdict == FAIL
    assert judge_difference(d, Bounds(np.nan, np.nan, np.nan), 10).verdict == FAIL


def test_one_wrong_element_fails_by_the_maximum() -> None:
    found = truth()
    found[0, 417] += 1e-3
    judgement = judge_difference(compare(found, truth()), FLOOR, 10)
    assert judgement.verdict == FAIL
    assert "worst at [0, 417]" in judgement.reason


def test_a_small_shift_of_everything_fails_by_the_rms() -> None:
    d = compare(truth() + 2e-5, truth())
    assert d.max < 10 * FLOOR.max
    assert judge_difference(d, FLOOR, 10).verdict == FAIL


@pytest.mark.parametrize(
    ("found", "expected", "verdict"),
    [
        ([np.nan], [1.0], FAIL),
        ([np.nan], [np.nan], FAIL),
        ([1.0], [np.nan], INCONCLUSIVE),
        ([], [], INCONCLUSIVE),
        ([1.0, 2.0], [1.0], FAIL),
    ],
)
def test_what_cannot_be_compared(found: list[float], expected: list[float], verdict: str) -> None:
    judgement = judge_difference(compare(np.array(found), np.array(expected)), FLOOR, 10)
    assert judgement.verdict == verdict
    assert judgement.reason


def test_a_failure_without_an_element_to_show() -> None:
    assert judge_difference(Difference(3, max=1.0), FLOOR, 10) == Judgement(
        FAIL, "1e+05 times the noise floor, 10 allowed"
    )


def test_a_floor_of_zero_allows_nothing() -> None:
    zero = Bounds(0, 0, 0)
    assert judge_difference(compare(np.zeros(3), np.zeros(3)), zero, 10).verdict == PASS
    assert judge_difference(compare(np.full(3, 1e-30), np.zeros(3)), zero, 10).verdict == FAIL


@pytest.mark.parametrize(
    ("truths", "words"),
    [
        ([np.zeros((1, 9)), np.zeros((1, 9))], "constant (0)"),
        ([np.full((1, 9), 0.5), np.full((1, 9), 0.5)], "constant (0.5)"),
        ([truth(), truth()], "does not depend on the input"),
        ([np.full((1, 9), np.nan)], "no finite values"),
    ],
)
def test_what_the_truth_cannot_prove(truths: list[Array], words: str) -> None:
    judgement = judge_truth(truths, FLOOR)
    assert judgement.verdict == INCONCLUSIVE
    assert words in judgement.reason


def test_one_constant_truth_among_others_is_no_harm() -> None:
    assert judge_truth([np.zeros((1, 1000)), truth()], FLOOR).verdict == PASS


def test_worst_puts_failures_first_and_nothing_is_not_a_pass() -> None:
    failed, unclear = Judgement(FAIL, "broken"), Judgement(INCONCLUSIVE, "unclear")
    assert worst([Judgement(PASS), unclear, failed]) == failed
    assert worst([Judgement(PASS), unclear]) == unclear
    assert worst([]).verdict == INCONCLUSIVE
    assert overall([("boxes", failed)]).reason == "boxes: broken"
