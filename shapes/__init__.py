"""shapes-tiny: the small detector that zoo ships with itself, and everything it was made from.

The four files below are the model and its sample picture. `draw` makes pictures, `train` made the weights from
them, `evaluate` measures a detector on others. README.md has the commands and the figures.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
CFG = HERE / "shapes-tiny.cfg"
WEIGHTS = HERE / "shapes-tiny.weights"
NAMES = HERE / "shapes-tiny.names"
SAMPLE = HERE / "sample.png"
