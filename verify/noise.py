"""The tolerance: a candidate may be as far from the truth as a few times the source's own run at that precision.

The truth is the float64 run of the reference, the noise is its run at the precision that is judged. Both runs are
of the same network on the same inputs, so their distance, the noise floor, holds everything a typed constant has
to guess: the depth of the network, the size of its values, how the decoding stretches them.

A right candidate does the same sums in another order, so its errors have the size of the noise, but are not the
noise: hence a margin. `docs/verify.md` has the measurements behind it.

- Errors of two independent roundings of the same sums have the same rms; folding batch normalisation rounds each
  weight once more (√2); summing in one accumulator instead of several, or a Winograd convolution, costs up to
  about 3. Together about 4.
- The largest of n errors is less certain than their rms: for n of 1e4 to 1e6 normal errors the largest of one draw
  exceeds that of another by 1.5 at most once in a thousand times; heavy tails (exp, a division) double that.

A fault worth finding is far outside: on the real Yolo-Fastest the wrong batch-norm epsilon, the smallest fault known
to have been shipped, is a thousand times the floor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.verify.runtimes.protocol import Array
from zoo.verify.tensors import Difference, root_mean_square
from zoo.verify.verdict import FAIL, INCONCLUSIVE, PASS, Judgement

MARGIN = {"fp32": 10.0, "tf32": 10.0, "fp16": 10.0}
# Unit roundoff: half the distance of 1 to the next number.
ROUNDOFF = {"fp32": 2.0**-24, "tf32": 2.0**-11, "fp16": 2.0**-11}
# TF32 and fp16 sums are kept in float32, so an output that is stored as float32 has its roundoff.
STORED = 2.0**-24


@dataclass(frozen=True)
class Bounds:
    """A size of errors: the largest, the 99.9th percentile, and the root of the mean square."""

    max: float
    p999: float
    rms: float

    def times(self, factor: float) -> Bounds:
        """Every bound multiplied."""
        return Bounds(self.max * factor, self.p999 * factor, self.rms * factor)


def noise_floor(differences: Iterable[Difference], truths: Iterable[Array], unit: float = 1.0) -> Bounds:
    """The floor of one tensor over several inputs: of each statistic the largest.

    Never below what rounding to float32 costs, of the truth itself or of `unit`, whichever is larger. Where noise and
    truth agree by luck, the floor would be 0 and a right candidate would fail. And a score of 1e-7 is no less
    uncertain than one of 1: a library's sigmoid or softmax is exact to the roundoff of its range, not of its value
    (ONNX Runtime's is off by 1e-7 where it should give 5e-8; NumPy's is not).
    """
    sizes = [Bounds(unit, unit, unit).times(STORED)]
    sizes += [Bounds(d.max, d.p999, d.rms) for d in differences if not d.problem and not d.truth_not_finite]
    for truth in truths:
        values = np.abs(truth[np.isfinite(truth)])
        if values.size:
            size = Bounds(float(values.max()), float(np.percentile(values, 99.9)), root_mean_square(values))
            sizes.append(size.times(STORED))
    return Bounds(max(s.max for s in sizes), max(s.p999 for s in sizes), max(s.rms for s in sizes))


def times_floor(difference: Difference, floor: Bounds) -> float | None:
    """The margin with which this difference would just pass; None where no margin would do."""
    if difference.problem or difference.not_finite or difference.truth_not_finite:
        return None
    pairs = ((difference.max, floor.max), (difference.p999, floor.p999), (difference.rms, floor.rms))
    if any(error and not bound for error, bound in pairs):
        return None
    return max((error / bound for error, bound in pairs if bound), default=0.0)


def judge_difference(difference: Difference, floor: Bounds, margin: float) -> Judgement:
    """Whether one tensor is close enough to the truth."""
    if difference.problem:
        return Judgement(FAIL, difference.problem)
    if difference.not_finite:
        return Judgement(FAIL, f"{difference.not_finite} of {difference.elements} values are NaN or infinite")
    if difference.truth_not_finite:
        return Judgement(INCONCLUSIVE, f"the reference has {difference.truth_not_finite} values NaN or infinite")
    if not difference.elements:
        return Judgement(INCONCLUSIVE, "the output is empty")
    times = times_floor(difference, floor)
    if times is None or not times <= margin:  # NaN is no margin that anything is within
        size = "above a floor of 0" if times is None else f"{times:.3g} times the noise floor, {margin:g} allowed"
        return Judgement(FAIL, size + _worst(difference))
    return Judgement(PASS)


def _worst(difference: Difference) -> str:
    if difference.expected is None or difference.found is None:  # as a saved result may have it
        return ""
    where = ", ".join(map(str, difference.index))
    return f"; worst at [{where}]: expected {difference.expected:.9g}, found {difference.found:.9g}"


def judge_truth(truths: Sequence[Array], tolerance: Bounds) -> Judgement:
    """Whether the truth of one output could expose a fault at all.

    It proves nothing where a candidate would pass that gives one constant, or that does not look at its input.
    """
    finite = [truth for truth in truths if truth.size and np.isfinite(truth).all()]
    if not finite:
        return Judgement(INCONCLUSIVE, "the reference has no finite values here")
    if all(float(np.ptp(truth)) / 2 <= tolerance.max for truth in finite):
        return Judgement(INCONCLUSIVE, f"the reference is constant ({float(finite[0].flat[0]):.6g}): proves nothing")
    alike = [np.abs(truth - finite[0]).max() <= tolerance.max for truth in finite[1:] if truth.shape == finite[0].shape]
    if alike and all(alike):
        return Judgement(INCONCLUSIVE, "the reference does not depend on the input: proves nothing")
    return Judgement(PASS)
