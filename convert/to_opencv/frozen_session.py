"""A frozen graph in TensorFlow, asked with pictures of one size: what its tensors are, given what others are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.convert.to_tensorflow.backend import quietly, tf

Array = NDArray[np.float32]


class FrozenSession:
    """The graph in the file `path`; its input is `image`, uint8 [1, H, W, 3], H and W as in `size`."""

    def __init__(self, path: Path, image: str, size: tuple[int, int]) -> None:
        self.path, self.image, self.size = path, image, size

    def __enter__(self) -> FrozenSession:
        definition = tf.compat.v1.GraphDef.FromString(self.path.read_bytes())
        with quietly(), tf.Graph().as_default() as graph:
            tf.import_graph_def(definition, name="")
            self._session = tf.compat.v1.Session(graph=graph)
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def run(self, refs: Any, picture: int | NDArray[np.uint8] = 0, feeds: Mapping[str, Array] = {}) -> Any:
        """The tensors `refs` (a reference, or several by name) for a picture or one colour; `feeds` are given."""
        given = np.broadcast_to(np.asarray(picture, np.uint8), (1, *self.size, 3))
        with quietly():
            return self._session.run(refs, {self.image: given, **feeds})
