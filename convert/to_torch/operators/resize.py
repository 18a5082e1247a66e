"""Resize and Upsample: PyTorch's interpolation where it means the same, else an exact separable one."""

from __future__ import annotations

from typing import Any

from zoo.convert.to_torch.code import Code, call
from zoo.convert.to_torch.operators.activation import float32
from zoo.convert.to_torch.sizes import Sym
from zoo.convert.to_torch.table import operator
from zoo.convert.to_torch.use import Use

COORDINATES = {
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
}
ROUNDINGS = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}
MODES = {"nearest", "linear", "cubic"}


@operator("Upsample", since=7)
def upsample(use: Use) -> Code:
    """What Resize was called: asymmetric coordinates, the lower neighbour."""
    scales = list(use.integers(1, "scales"))
    return _resize(use, scales, None, tuple(range(len(scales))), {"coordinates": "asymmetric", "rounding": "floor"})


@operator("Resize", since=10)
def resize(use: Use) -> Code:
    if use.version == 10:
        return upsample(use)
    rank = use.rank(0)
    axes = tuple(axis % rank for axis in use.attribute("axes", range(rank)))
    sizes = use.sizes(3) if use.has(3) else None
    scales = use.sizes(2) if use.has(2) and sizes is None else None
    if not (sizes or scales):
        use.refuse("it has neither scales nor sizes")
    coordinates = use.attribute("coordinate_transformation_mode", "half_pixel")
    rounding = use.attribute("nearest_mode", "round_prefer_floor")
    if coordinates not in COORDINATES or rounding not in ROUNDINGS:
        use.refuse("its coordinate or rounding mode is unknown")
    return _resize(use, scales, sizes, axes, {"coordinates": coordinates, "rounding": rounding})


def _resize(
    use: Use, scales: list[Any] | None, sizes: list[Any] | None, axes: tuple[int, ...], rules: dict[str, Any]
) -> Code:
    mode = use.attribute("mode", "nearest")
    if mode not in MODES:
        use.refuse(f"its mode {mode!r} is unknown")
    if scales is not None and _plain_nearest(scales, axes, mode, rules):
        factor = tuple(int(scale) for axis, scale in zip(axes, scales, strict=True) if axis >= 2)
        argument = factor[0] if len(set(factor)) == 1 else factor
        return call(use.layer(call("nn.Upsample", scale_factor=argument, mode="nearest")), use.tensor(0))
    return use.helper("resize", use.tensor(0), axes, _numbers(scales), _numbers(sizes), mode, **_rules(use, rules))


def _plain_nearest(scales: list[Any], axes: tuple[int, ...], mode: str, rules: dict[str, Any]) -> bool:
    """Each element repeated a whole number of times: what nn.Upsample does, whatever the rounding of a half pixel."""
    if mode != "nearest" or any(isinstance(scale, Sym) or not float(scale).is_integer() for scale in scales):
        return False
    by_axis = dict(zip(axes, scales, strict=True))
    centred = rules["coordinates"] in ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")
    lower = rules == {"coordinates": "asymmetric", "rounding": "floor"}
    batch_and_channels = by_axis.get(0, 1) == 1 and by_axis.get(1, 1) == 1
    rest = [axis for axis in by_axis if axis >= 2]
    nearest_whole = rules["rounding"].startswith("round") and min(scales) >= 1
    return (
        batch_and_channels
        and 1 <= len(rest) <= 3
        and rest == list(range(2, 2 + len(rest)))
        and (lower or (centred and nearest_whole))
    )


def _numbers(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def _rules(use: Use, rules: dict[str, Any]) -> dict[str, Any]:
    """Only what differs from the defaults of `resize` in functions/resize.py."""
    rules = {key: value for key, value in rules.items() if value != DEFAULTS[key]}
    if use.attribute("mode", "nearest") != "nearest":
        rules.pop("rounding", None)
    if use.attribute("antialias", 0):
        rules["antialias"] = True
    if use.attribute("mode") == "cubic":
        rules["cubic"] = float32(use.attribute("cubic_coeff_a", -0.75))
    if use.attribute("exclude_outside", 0):
        rules["exclude_outside"] = True
    if rules.get("coordinates") == "tf_crop_and_resize":
        rules["roi"] = tuple(use.sizes(1))
        rules["outside"] = float32(use.attribute("extrapolation_value", 0.0))
    policy = use.attribute("keep_aspect_ratio_policy", "stretch")
    if policy in ("not_larger", "not_smaller"):
        rules["keep_aspect"] = policy
    return rules


DEFAULTS = {"coordinates": "half_pixel", "rounding": "round_prefer_floor"}
