"""Stage 3: artifact + reference → verdict. `verify_artifact` judges one artifact; `Report` is what it found.

The reference is a `DarknetReference` (cfg and weights, run in float64), a `TensorFlowReference` (the original file in
TensorFlow) or an `ArtifactReference` (any other model).
"""

from zoo.verify.candidate import Examined, Options
from zoo.verify.result import Report
from zoo.verify.run import examined, unverified, verify_artifact
from zoo.verify.timing import timed
from zoo.verify.truth import ArtifactReference, Reference
from zoo.verify.truth_darknet import DarknetReference
from zoo.verify.truth_tensorflow import TensorFlowReference

__all__ = [
    "ArtifactReference",
    "DarknetReference",
    "Examined",
    "Options",
    "Reference",
    "Report",
    "TensorFlowReference",
    "examined",
    "timed",
    "unverified",
    "verify_artifact",
]
