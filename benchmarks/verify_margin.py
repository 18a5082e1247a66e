"""How far right conversions are from the truth, in times the noise floor: the measurement behind verify's margin.

    python benchmarks/verify_margin.py FOLDER [--seeds 10] [--formats onnx,torch]

FOLDER holds pairs of .cfg and .weights. Each is converted, and verified with several seeds without timing; printed is,
for each model and format, the median and the largest margin that would just have passed, and any verdict but a pass.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from zoo.catalog import Store
from zoo.pipeline.convert import convert
from zoo.pipeline.source import darknet_source
from zoo.verify import DarknetReference, Options, verify_artifact


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--formats", default="onnx")
    arguments = parser.parse_args()
    print("| model | format | runs | median | largest | not passed |\n|---|---|---|---|---|---|")
    for cfg in sorted(arguments.folder.glob("*.cfg")):
        with tempfile.TemporaryDirectory() as folder:
            measure(cfg, arguments.formats.split(","), arguments.seeds, Store(Path(folder)))


def measure(cfg: Path, formats: list[str], seeds: int, store: Store) -> None:
    """Print one line for each format of a model."""
    source = darknet_source(cfg, cfg.with_suffix(".weights"))
    hub, *artifacts = convert(source, ("onnx", *formats), store=store)
    reference = DarknetReference(cfg, cfg.with_suffix(".weights"), hub.options)
    for artifact in artifacts:
        reports = [
            verify_artifact(artifact, reference, Options(speed="none", batches=(1,), seed=seed), hub=hub)
            for seed in range(seeds)
        ]
        margins = [output.just_passes for report in reports for output in report.outputs]
        known = [margin for margin in margins if margin is not None]
        bad = [f"seed {report.seed}: {report.judgement.reason}" for report in reports if not report.passed]
        row = (cfg.stem, artifact.format, f"{len(reports)}", f"{np.median(known):.2f}", f"{max(known):.2f}")
        print(f"| {' | '.join(row)} | {'; '.join(bad) or 'none'} |", flush=True)


if __name__ == "__main__":
    main()
