"""Phrases that several forms of a report share."""

from __future__ import annotations

from zoo.verify.result import Compared, Report


def framework(report: Report) -> str:
    """The format, and the program that ran it with its version: "onnx, onnxruntime 1.31.0"."""
    return f"{report.format}, {report.device.runtime}" if report.device.runtime else report.format


def where(report: Report) -> str:
    """The device, with the precision where it is not the usual one."""
    device = report.device.used if report.device.used != "none" else report.device.asked
    return device if report.precision == "fp32" else f"{device}, {report.precision}"


def beside(one: Compared) -> str:
    """How much faster than the other, and whether that is certain."""
    speedup = one.speedup
    sure = "" if one.differs else ", no difference"
    return f"{speedup.value:.2f} times as fast [{speedup.low:.2f}, {speedup.high:.2f}]{sure}"
