"""Run as a program: unpacks and converts archives, all in one process (TensorFlow takes seconds to import).

    python tests/goldens/tensorflow_program.py OUT ARCHIVE…

writes OUT/NAME/source, OUT/NAME/model.onnx and OUT/NAME/report.json for each.
"""

from __future__ import annotations

import json
import sys
import tarfile
from dataclasses import asdict
from pathlib import Path

from zoo.convert.from_tensorflow.child import convert
from zoo.convert.from_tensorflow.options import TensorFlowSourceOptions


def main(out: Path, archives: list[Path]) -> None:
    for archive in archives:
        name = archive.name.partition(".")[0]
        folder = out / name
        with tarfile.open(archive) as tar:
            tar.extractall(folder / "source", filter="data")
        request = {
            "source": str(folder / "source"),
            "target": str(folder / "model.onnx"),
            "options": asdict(TensorFlowSourceOptions()),
            "name": name,
        }
        (folder / "report.json").write_text(json.dumps(convert(request)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(text) for text in sys.argv[2:]])
