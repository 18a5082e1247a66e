"""Element-by-element comparison of one tensor with the truth. Measures; whether it is good enough `noise` says.

NaN is never equal to NaN: a value that is not finite, on either side, is counted and never compared. Only the truth's
own infinity is no fault of what was found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from zoo.verify.runtimes.protocol import Array


@dataclass(frozen=True)
class Difference:
    """How far a tensor is from the truth.

    `max`, `mean`, `p999` (99.9th percentile) and `rms` are of |found − expected|; `relative` is max / max|expected|;
    `cosine` is of the two as vectors; `snr_db` is 10·log10(Σ expected² / Σ (found − expected)²), None where they are
    equal. `index`, `expected` and `found` are of the worst element. `not_finite` counts NaN and infinities in what was
    found, but for those that the truth has as well, `truth_not_finite` in the truth; with any of them the other numbers
    are None or 0. `problem` says why nothing could be compared (another shape or kind of type), else it is "".
    """

    elements: int
    max: float = 0.0
    mean: float = 0.0
    p999: float = 0.0
    rms: float = 0.0
    relative: float | None = None
    cosine: float | None = None
    snr_db: float | None = None
    index: tuple[int, ...] = ()
    expected: float | None = None
    found: float | None = None
    not_finite: int = 0
    truth_not_finite: int = 0
    problem: str = ""


def compare(found: Array, expected: Array) -> Difference:
    """Compare two arrays of one shape; `expected` is the truth, usually float64."""
    if found.shape != expected.shape:
        return Difference(found.size, problem=f"shape {_dimensions(found)}, expected {_dimensions(expected)}")
    if found.dtype.kind not in "fiub":
        return Difference(found.size, problem=f"type {found.dtype}, expected a number")
    if not found.size:
        return Difference(0)
    a, b = found.astype(np.float64), expected.astype(np.float64)
    wrong, truth_wrong = ~np.isfinite(a) & (a != b), ~np.isfinite(b)
    if wrong.any() or truth_wrong.any():
        return _not_finite(a, b, wrong, truth_wrong)
    error = np.abs(a - b)
    index = np.unravel_index(int(error.argmax()), error.shape)
    largest = float(np.abs(b).max())
    return Difference(
        elements=error.size,
        max=float(error[index]),
        mean=float(error.mean()),
        p999=float(np.percentile(error, 99.9)),
        rms=root_mean_square(error),
        relative=float(error[index]) / largest if largest else None,
        cosine=_cosine(a, b),
        snr_db=_snr(b, error),
        index=tuple(int(i) for i in index),
        expected=float(b[index]),
        found=float(a[index]),
    )


def root_mean_square(values: Array) -> float:
    """sqrt(mean(values²)); 0 for no values. Scaled by the largest, so that no square overflows."""
    largest = float(np.abs(values).max(initial=0))
    return largest * math.sqrt(float(np.mean(np.square(values / largest)))) if largest else 0.0


def _not_finite(found: Array, expected: Array, wrong: Array, truth_wrong: Array) -> Difference:
    """The worst element is the first that is not finite; its value is left out, because JSON has no NaN."""
    bad = wrong if wrong.any() else truth_wrong
    index = np.unravel_index(int(bad.argmax()), bad.shape)
    return Difference(
        found.size,
        index=tuple(int(i) for i in index),
        expected=_finite(float(expected[index])),
        found=_finite(float(found[index])),
        not_finite=int(wrong.sum()),
        truth_not_finite=int(truth_wrong.sum()),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cosine(a: Array, b: Array) -> float | None:
    norms = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float(np.vdot(a, b)) / norms if norms else None


def _snr(expected: Array, error: Array) -> float | None:
    noise, signal = float(np.square(error).sum()), float(np.square(expected).sum())
    return 10 * math.log10(signal / noise) if noise and signal else None


def _dimensions(array: Array) -> str:
    return "×".join(map(str, array.shape)) or "scalar"
