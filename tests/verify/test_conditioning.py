"""Samples on which the reference does not agree with itself prove nothing, hide nothing, and excuse little."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.verify.conditioning import NOTHING, judge_where_it_tells, left_out, only, samples_that_tell
from zoo.verify.inputs import Sample
from zoo.verify.noise import Bounds
from zoo.verify.parity import CandidateRun, Evidence, floors
from zoo.verify.runtimes.protocol import Array
from zoo.verify.truth import Observation
from zoo.verify.verdict import FAIL, INCONCLUSIVE, PASS

MARGIN = 10.0


def values(seed: int, size: float = 1.0) -> Array:
    return (size * np.random.default_rng(seed).standard_normal((1, 500))).astype(np.float32)


def evidence(truths: list[Array], noises: list[float], found: list[Array]) -> Evidence:
    """One output "x"; the reference's other run is off by `noises` (rms), the candidate gives `found`."""
    samples = [Sample(f"sample{place}", 0, {}) for place in range(len(truths))]
    seen = [
        Observation({"x": truth}, ({"x": truth + values(90 + place, noise)},))
        for place, (truth, noise) in enumerate(zip(truths, noises, strict=True))
    ]
    runs = [CandidateRun(place, 1, {"x": array}) for place, array in enumerate(found)]
    return Evidence(samples, seen, runs, floors(seen), MARGIN)


def bounds(rms: float) -> Bounds:
    return Bounds(rms, rms, rms)


@pytest.mark.parametrize(
    ("noises", "expected"),
    [
        ([1e-6, 1e-5, 1e-4], [0, 1, 2]),
        ([1e-6, 1e-5, 0.5], [0, 1]),  # its tolerance is larger than its values
        ([1e-6, 1e20, 0.5], [0]),
        ([0.5, 0.5, 0.5], []),
    ],
)
def test_a_sample_tells_where_its_noise_is_smaller_than_any_values(noises: list[float], expected: list[int]) -> None:
    truths = [values(seed) for seed in range(3)]
    assert samples_that_tell(truths, [bounds(noise) for noise in noises], MARGIN) == expected


def test_large_noise_among_large_values_must_not_hide_small_ones() -> None:
    truths = [values(0), values(1, 1e20)]
    assert samples_that_tell(truths, [bounds(1e-6), bounds(1e17)], MARGIN) == [0]


def test_a_constant_without_noise_hides_nothing() -> None:
    truths = [values(0), np.zeros((1, 500), np.float32)]
    assert samples_that_tell(truths, [bounds(1e-6), bounds(2.0**-24)], MARGIN) == [0, 1]


def test_a_fault_shows_where_another_sample_would_hide_it() -> None:
    truths = [values(0), values(1, 1e20)]
    right = [truths[0] + np.float32(1e-6), truths[1] * np.float32(1.5)]
    seen = evidence([*truths, values(2)], [1e-6, 1e19, 1e-6], [*right, values(2)])
    result = judge_where_it_tells("x", seen)
    assert result.judgement.verdict == PASS, result.judgement.reason
    assert {one.sample for one in result.measurements} == {"sample0", "sample2"}
    assert left_out([result], seen) == ["not judged on sample1, where the reference's own runs differ too much: x"]
    seen = evidence([*truths, values(2)], [1e-6, 1e19, 1e-6], [truths[0] * np.float32(1.05), right[1], values(2)])
    assert judge_where_it_tells("x", seen).judgement.verdict == FAIL


def test_where_no_sample_tells_only_what_is_no_nearer_than_a_constant_fails() -> None:
    truths = [values(0), values(1)]
    near = [truth + values(7, 0.2) for truth in truths]
    result = judge_where_it_tells("x", evidence(truths, [0.15, 0.15], near))
    assert result.judgement.verdict == INCONCLUSIVE
    assert NOTHING.reason in result.judgement.reason
    for wrong in (values(8), np.zeros((1, 500), np.float32) + 3):
        result = judge_where_it_tells("x", evidence(truths, [0.15, 0.15], [near[0], wrong]))
        assert result.judgement.verdict == FAIL
        assert "no nearer to the truth than a constant" in result.judgement.reason


def test_where_the_reference_is_hardly_nearer_than_a_constant_nothing_fails_but_what_is_no_number() -> None:
    truths = [values(0), values(1)]
    result = judge_where_it_tells("x", evidence(truths, [0.5, 0.5], [values(8), values(9)]))
    assert result.judgement.verdict == INCONCLUSIVE
    result = judge_where_it_tells("x", evidence(truths, [0.5, 0.5], [values(8), np.full((1, 500), np.nan)]))
    assert "NaN" in result.judgement.reason


def test_the_evidence_of_some_samples() -> None:
    seen = only(evidence([values(0), values(1), values(2)], [0.1] * 3, [values(0), values(1), values(2)]), [0, 2])
    assert [sample.name for sample in seen.samples] == ["sample0", "sample2"]
    assert [run.sample for run in seen.runs] == [0, 1]
    assert np.array_equal(seen.runs[1].outputs["x"], seen.observations[1].truth["x"])
