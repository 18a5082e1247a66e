"""Histograms of errors and of times, for the report. Counts every value; judges nothing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zoo.verify.result import Histogram
from zoo.verify.runtimes.protocol import Array

ERROR_EDGES = tuple(10.0 ** (half / 2) for half in range(-24, 7))  # half decades from 1e-12 to 1e3
TIME_BINS = 40
SLOWEST = 1.0  # per cent of the runs that share the last bin: one outlier does not flatten the rest


def error_histogram(pairs: Iterable[tuple[Array, Array]]) -> Histogram:
    """|found − truth| of every element of these pairs (found, truth) that can be compared, by half decades.

    What is not finite, or has another shape than the truth, the verdict reports; it is not counted here.
    """
    counts = np.zeros(len(ERROR_EDGES) - 1, np.int64)
    for found, truth in pairs:
        if found.shape == truth.shape and found.dtype.kind in "fiub":
            with np.errstate(invalid="ignore"):  # infinity on both sides
                error = np.abs(found.astype(np.float64) - truth.astype(np.float64))
            counts += _count(error[np.isfinite(error)], ERROR_EDGES)
    return Histogram(ERROR_EDGES, tuple(int(count) for count in counts))


def time_histogram(times: Array) -> Histogram:
    """Seconds of each run [runs]: equal bins up to the slowest per cent, which shares the last bin."""
    low, most, high = float(times.min()), float(np.percentile(times, 100 - SLOWEST)), float(times.max())
    edges = [*np.linspace(low, most, TIME_BINS).tolist(), high] if low < most < high else [low, high]
    return Histogram(tuple(edges), tuple(int(count) for count in _count(times, edges)))


def _count(values: Array, edges: Iterable[float]) -> Array:
    inner = np.array([*edges])[1:-1]
    counts: Array = np.bincount(np.searchsorted(inner, values.ravel(), side="right"), minlength=len(inner) + 1)
    return counts
