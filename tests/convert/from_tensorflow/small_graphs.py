"""Run as a program: makes a small graph for each rewrite, converts it, and saves TensorFlow's results for a batch.

    python tests/convert/from_tensorflow/small_graphs.py FOLDER

writes FOLDER/CASE.onnx, and FOLDER/CASE.npz with the input "images" and what TensorFlow gives. Of graphs exported for
batch 1, that is TensorFlow's result of each image alone. The sources stay: FOLDER/CASE.pb or FOLDER/CASE.

FOLDER/raw is the network of a detector alone: "images" is what TensorFlow gives its first convolution, and the
results are TensorFlow's boxes and scores before suppression.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from zoo.convert.from_tensorflow.child import Stopwatch
from zoo.convert.from_tensorflow.load import load
from zoo.convert.from_tensorflow.options import TensorFlowSourceOptions
from zoo.convert.from_tensorflow.rebuild import rebuild
from zoo.convert.from_tensorflow.source import find_source
from zoo.convert.onnx_graph.write import write_model

tf1 = tf.compat.v1
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 9, 12, 3), np.uint8)
KERNEL = np.random.default_rng(1).normal(size=(3, 3, 3, 4)).astype(np.float32)
DEEP = np.random.default_rng(2).normal(size=(3, 3, 6, 6)).astype(np.float32)
MEAN = np.array([123.7, 116.8, 103.9], np.float32)
Outputs = dict[str, tf.Tensor]


def per_image(image: tf.Tensor) -> tf.Tensor:
    """What an exporter's preprocessing does to one picture: another size for wide ones, then the normalisation."""
    small = tf1.image.resize_bilinear(image[None], [6, 7])[0]
    return small * (2.0 / 255.0) - 1.0


def loop(images: tf.Tensor) -> Outputs:
    mapped = tf.map_fn(per_image, tf.cast(images, tf.float32))
    return {"detection_scores": tf.nn.conv2d(mapped, KERNEL, 2, "SAME")}


def branches(images: tf.Tensor) -> Outputs:
    """Both branches apply the same operators to other numbers, and agree in shape."""
    shape = tf.shape(images)
    factor = tf.cond(shape[1] > shape[2], lambda: tf.cast(shape[1], tf.float32), lambda: tf.cast(shape[2], tf.float32))
    return {"detection_scores": tf.cast(images, tf.float32)[..., :2] / factor}


def padded(images: tf.Tensor) -> Outputs:
    """A picture that is padded to 16×16, whatever its size: what follows knows the size."""
    shape = tf.shape(images)
    square = tf.pad(tf.cast(images, tf.float32), [[0, 0], [0, 16 - shape[1]], [0, 16 - shape[2]], [0, 0]])
    return {"detection_scores": tf.nn.conv2d(square, KERNEL, 2, "SAME")}


def second_stage(images: tf.Tensor) -> Outputs:
    """Pictures that a loop pads to a size which it only declares, their features, and crops of those, turned between
    images and boxes as a second stage does."""

    def one(image: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(image)
        picture = tf.pad(image, [[0, 16 - shape[0]], [0, 16 - shape[1]], [0, 0]])
        picture.set_shape([16, 16, 3])
        return (picture - MEAN) / 57.0

    pictures = tf.map_fn(one, tf.cast(images, tf.float32))
    features = tf.nn.conv2d(tf.concat([pictures, -pictures], 3), DEEP, 2, "SAME")
    large = tf1.image.resize_bilinear(features, [11, 13])
    boxes = tf.tile(tf.constant([[[0.1, 0.2, 0.9, 0.7]]]), [tf.shape(images)[0], 2, 1])
    index = tf.repeat(tf.range(tf.shape(images)[0]), 2)
    taken = tf.image.crop_and_resize(large, tf.reshape(boxes, [-1, 4]), index, [5, 4])
    taken = tf.reshape(tf.reshape(taken, [-1, 2, 5, 4, 6]), [-1, 5, 4, 6])
    pooled = tf.nn.max_pool2d(taken, 2, 2, "VALID")
    return {"detection_masks": tf.reshape(pooled, [-1, 2, 2, 2, 6])}


def nearest(images: tf.Tensor) -> Outputs:
    """Pixels taken from a picture of any size, by TensorFlow's three rules."""
    picture = tf.cast(images, tf.float32)
    rules: tuple[dict[str, bool], ...] = ({}, {"align_corners": True}, {"half_pixel_centers": True})
    taken = [tf.raw_ops.ResizeNearestNeighbor(images=picture, size=[14, 7], **rule) for rule in rules]
    return {"detection_scores": tf.concat(taken, 3)}


def crops(images: tf.Tensor) -> Outputs:
    boxes = tf.constant([[0.0, 0.0, 1.0, 1.0], [0.2, 0.1, 1.0, 0.7], [-0.1, 0.3, 0.5, 1.1]])
    picture = tf.cast(images, tf.float32)
    return {"detection_masks": tf.image.crop_and_resize(picture, boxes, tf.zeros([3], tf.int32), [5, 4])[None]}


def shapes(images: tf.Tensor) -> Outputs:
    """Operators whose axes move by one: each gives one image's part of a batch."""
    x = tf.cast(images, tf.float32) / 255.0
    flat = tf.reshape(x, [1, -1, 3])
    best, where = tf.math.top_k(tf.transpose(flat, [0, 2, 1]), 5)
    parts = tf.unstack(best, axis=1)
    joined = tf.concat([part[:, None] for part in parts] + [tf.cast(where, tf.float32)], 1)
    gathered = tf.gather(joined, [4, 0, 2], axis=1)
    return {
        "detection_boxes": tf.stack([gathered, tf.tile(gathered[:, :1], [1, 3, 1])], 2),
        "detection_scores": tf.sigmoid(tf.reduce_max(joined, 2) - tf.reduce_mean(joined, [1, 2])[:, None]),
        "detection_classes": tf.where(best[:, :, 0] > 0.99, best[:, :, 1], tf.zeros_like(best[:, :, 2])),
        "num_detections": tf.cast(tf.reduce_sum(tf.cast(flat > 0.5, tf.int32), [1, 2]), tf.float32),
    }


ROWS, PER_CLASS, LIMIT = 36, 6, 12
Selected = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
Select = Callable[[tf.Tensor, tf.Tensor], Selected]


def candidates(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes [N, 36, 4], some of them beyond the border, and scores [N, 36, 5], no two equal, from a picture's bytes."""
    numbers = tf.reshape(tf.cast(images, tf.float32) / 255.0, [images.shape[0] or -1, ROWS, 9])
    corner, size, scores = tf.split(numbers, [2, 2, 5], 2)
    low = corner * 1.1 - 0.2
    distinct = np.arange(ROWS * 5, dtype=np.float32).reshape(ROWS, 5) * 1e-5
    return tf.concat([low, low + 0.05 + size * 0.4], 2), scores * 0.9 + distinct


def as_many_as_there_are(boxes: tf.Tensor, scores: tf.Tensor) -> Selected:
    """One suppression: rows and scores, filled up to the most there can be, and how many there are."""
    most = tf.minimum(PER_CLASS, tf.shape(boxes)[0])
    rows, kept = tf.image.non_max_suppression_with_scores(boxes, scores, most, 0.4, 0.05)
    count = tf.shape(rows)[0]
    filling = most - count
    return tf.concat([rows, tf.zeros([filling], tf.int32)], 0), tf.concat([kept, tf.zeros([filling])], 0), count


def always_as_many(boxes: tf.Tensor, scores: tf.Tensor) -> Selected:
    """The same where all shapes must be fixed: what TensorFlow writes for it is a function with loops."""
    rows, count = tf.image.non_max_suppression_padded(boxes, scores, PER_CLASS, 0.4, 0.05, pad_to_max_output_size=True)
    return rows, tf.gather(scores, rows), count


def best_of_image(boxes: tf.Tensor, scores: tf.Tensor, select: Select, together: bool) -> list[tf.Tensor]:
    """Boxes, scores, classes and number of one image's detections: each class suppressed, or all `together`."""
    columns = [tf.reshape(tf.slice(scores, [0, k], [ROWS, 1]), [-1]) for k in range(5)]
    picked = [select(boxes, column) for column in ([tf.reduce_max(scores, -1)] if together else columns)]
    numbers = [tf.range(tf.shape(rows)[0]) for rows, _, _ in picked]
    exist = [own < count for own, (_, _, count) in zip(numbers, picked, strict=True)]
    scored = [tf1.where(real, kept, -tf.ones_like(kept)) for real, (_, kept, _) in zip(exist, picked, strict=True)]
    found = tf.concat(scored, 0)
    own = [tf.gather(boxes, rows) for rows, _, _ in picked]
    if together:
        labels = tf.cast(tf.gather(tf.argmax(scores, -1), picked[0][0]), tf.float32)
    else:
        labels = tf.concat([tf.zeros_like(kept) + k for k, (_, kept, _) in enumerate(picked)], 0)
    order = tf.math.top_k(found, tf.shape(found)[0]).indices
    ymin, xmin, ymax, xmax = tf.split(tf.gather(tf.concat(own, 0), order), 4, 1)
    low, left, high, right = tf.unstack(tf.constant([0.0, 0.0, 1.0, 0.9]))
    edges = [tf.maximum(tf.minimum(a, b), c) for a, b, c in ((ymin, high, low), (xmin, right, left))]
    edges += [tf.maximum(tf.minimum(a, b), c) for a, b, c in ((ymax, high, low), (xmax, right, left))]
    has_area = tf.squeeze((edges[2] - edges[0]) * (edges[3] - edges[1]), 1) > 0
    clipped, kept, labels = tf.concat(edges, 1), tf.gather(found, order), tf.gather(labels, order)
    kept = tf1.where(has_area, kept, -tf.ones_like(kept))
    order = tf.math.top_k(kept, tf.shape(kept)[0]).indices
    number = tf.reduce_sum(tf.cast(kept >= 0, tf.int32))
    results = [tf.gather(result, order) for result in (clipped, kept, labels)]
    return first_rows(results, number, is_padded=select is always_as_many)


def first_rows(results: list[tf.Tensor], number: tf.Tensor, is_padded: bool) -> list[tf.Tensor]:
    most = tf.minimum(LIMIT, tf.shape(results[1])[0])
    results = [tf.gather(result, tf.range(most)) for result in results]
    number = tf1.where(most > number, number, most)
    if not is_padded:
        results = [tf.gather(result, tf.range(number)) for result in results]
        filling = LIMIT - tf.shape(results[1])[0]
        results = [tf.pad(result, [[0, filling]] + [[0, 0]] * (result.shape.rank - 1)) for result in results]
    return [*results, number]


def as_in_2018(boxes: tf.Tensor, scores: tf.Tensor) -> list[tf.Tensor]:
    """One image's detections as exporters of that year give them: of each class those above the threshold are clipped
    to a window and made relative to it, then suppressed."""
    found = []
    window = tf.constant([0.05, 0.0, 1.0, 0.9])
    low, left, high, right = tf.unstack(window)
    for k in range(5):
        column = tf.reshape(tf.slice(scores, [0, k], [ROWS, 1]), [-1])
        rows = tf.reshape(tf.where(column > 0.05), [-1])
        own, kept = tf.gather(boxes, rows), tf.gather(column, rows)
        ymin, xmin, ymax, xmax = tf.split(own, 4, 1)
        edges = [tf.maximum(tf.minimum(a, b), c) for a, b, c in ((ymin, high, low), (xmin, right, left))]
        edges += [tf.maximum(tf.minimum(a, b), c) for a, b, c in ((ymax, high, low), (xmax, right, left))]
        area = tf.squeeze((edges[2] - edges[0]) * (edges[3] - edges[1]), 1)
        rows = tf.reshape(tf.where(area > 0.0), [-1])
        own, kept = in_window(tf.gather(tf.concat(edges, 1), rows), window), tf.gather(kept, rows)
        rows = tf.image.non_max_suppression(own, kept, tf.minimum(PER_CLASS, tf.shape(own)[0]), 0.4)
        kept = tf.gather(kept, rows)
        found.append((tf.gather(own, rows), kept, tf.zeros_like(kept) + k))
    results = [tf.concat(parts, 0) for parts in zip(*found, strict=True)]
    order = tf.math.top_k(results[1], tf.shape(results[1])[0]).indices
    results = [tf.gather(result, order) for result in results]
    return first_rows(results, tf.shape(results[1])[0], is_padded=False)


def in_window(boxes: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    height, width = 1.0 / (window[2] - window[0]), 1.0 / (window[3] - window[1])
    ymin, xmin, ymax, xmax = tf.split(boxes - [window[0], window[1], window[0], window[1]], 4, 1)
    return tf.concat([height * ymin, width * xmin, height * ymax, width * xmax], 1)


def suppression(select: Select, together: bool = False) -> Callable[[tf.Tensor], Outputs]:
    return lambda images: of_all(images, lambda image: best_of_image(*image, select, together))


def suppression_of_2018(images: tf.Tensor) -> Outputs:
    return of_all(images, lambda image: as_in_2018(*image))


def of_all(images: tf.Tensor, of_one: Callable[[tuple[tf.Tensor, tf.Tensor]], list[tf.Tensor]]) -> Outputs:
    kinds = [tf.float32] * 3 + [tf.int32]
    return named(*tf.map_fn(of_one, candidates(images), fn_output_signature=kinds))


def combined(images: tf.Tensor) -> Outputs:
    """All classes of all images by one operator, which clips to the picture but drops nothing."""
    boxes, scores = candidates(images)
    return named(*tf.image.combined_non_max_suppression(boxes[:, :, None], scores, PER_CLASS, LIMIT, 0.4, 0.05))


def detector(images: tf.Tensor) -> Outputs:
    """Resized and normalised in a loop, a convolution, boxes and scores, a suppression."""
    pixels = tf.nn.conv2d(tf.map_fn(per_image, tf.cast(images, tf.float32)), KERNEL[..., :3], 1, "SAME")
    numbers = tf.reshape(tf.sigmoid(pixels), [-1, 14, 9])
    corner, size, scores = tf.split(numbers, [2, 2, 5], 2)
    boxes = tf.concat([corner, corner + size], 2)
    kept, _, _, _ = tf.image.combined_non_max_suppression(boxes[:, :, None], scores, PER_CLASS, LIMIT, 0.4, 0.05)
    given = {"raw_detection_boxes": boxes, "raw_detection_scores": scores}
    return given | {"detection_boxes": kept, "network_input": pixels.op.inputs[0]}


def named(boxes: tf.Tensor, scores: tf.Tensor, classes: tf.Tensor, count: tf.Tensor) -> Outputs:
    results = {"detection_boxes": boxes, "detection_scores": scores, "detection_classes": classes}
    return results | {"num_detections": tf.cast(count, tf.float32)}


def instances(points: tf.Tensor, limit: float) -> tuple[tf.Tensor, tf.Tensor]:
    """What CenterNet does with the instances that have keypoints, here the rows that begin with more than `limit`:
    reshapes to their number, and a scatter that is skipped where there are none. Also the shapes on the way."""
    rows = tf.where(points[:, 0] > limit)[:, 0]
    count = tf.shape(rows)[0]
    regressed = tf.reshape(tf.gather(points[:, 3:], rows), [1, count, -1, 2])
    by_keypoint = tf.reshape(tf.gather_nd(points[:, :2], tf.tile(rows, [3])[:, None]), [1, 3, count, -1])
    candidates = tf.transpose(by_keypoint, [0, 2, 1, 3])
    own = tf.shape(candidates)
    nearest = tf.reshape(candidates, tf.concat([own[:3], [tf.maximum(own[3], 2)]], 0))
    none = tf.zeros([len(IMAGES) * ROWS, 3, 2])
    placed = tf.cond(
        count > 0, lambda: tf.tensor_scatter_nd_add(none, rows[:, None], (regressed - nearest)[0]), lambda: none
    )
    shapes = [tf.shape(tensor) for tensor in (regressed, by_keypoint, nearest)]
    return placed, tf.cast(tf.stack(shapes), tf.float32)


def few_or_none(images: tf.Tensor) -> Outputs:
    points = tf.reshape(tf.cast(images, tf.float32) / 255.0, [-1, 9])
    (some, sizes), (none, sizes_of_none) = instances(points, 0.8), instances(points, 1.0)
    keypoints = {"detection_keypoints": some, "detection_keypoints_of_none": none}
    return keypoints | {"detection_sizes": sizes, "detection_sizes_of_none": sizes_of_none}


def frozen(path: Path, build: Callable[[tf.Tensor], Outputs]) -> tuple[Path, dict[str, np.ndarray]]:
    """A TensorFlow 1 graph for any batch, with its control flow of that time."""
    with tf.Graph().as_default() as graph:
        tf1.disable_control_flow_v2()
        given = tf1.placeholder(tf.uint8, [None, None, None, 3], name="image_tensor")
        results = {key: tf.identity(value, name=key) for key, value in build(given).items()}
        with tf1.Session() as session:
            arrays = session.run(results, {given: IMAGES})
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path, arrays


def saved(folder: Path, build: Callable[[tf.Tensor], Outputs]) -> tuple[Path, dict[str, np.ndarray]]:
    """A TensorFlow 2 SavedModel for batch 1, with a variable and a function inside a function."""
    tf1.enable_control_flow_v2()
    module = tf.Module()
    module.one = tf.Variable(1.0)
    module.inner = tf.function(lambda images: {key: value * module.one for key, value in build(images).items()})
    signature = [tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")]
    module.serve = tf.function(lambda input_tensor: module.inner(input_tensor), input_signature=signature)
    module.serve.get_concrete_function()
    module.one.assign(2.0)
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    alone = [module.serve(tf.constant(image[None])) for image in IMAGES]
    return folder, {key: np.concatenate([result[key].numpy() for result in alone]) for key in alone[0]}


CASES = {
    "loop_of_tf1": (frozen, loop),
    "branches_of_tf1": (frozen, branches),
    "padded_of_tf1": (frozen, padded),
    "loop_of_tf2": (saved, loop),
    "branches_of_tf2": (saved, branches),
    "padded_of_tf2": (saved, padded),
    "second_stage_of_tf1": (frozen, second_stage),
    "second_stage_of_tf2": (saved, second_stage),
    "nearest_of_tf1": (frozen, nearest),
    "crops_of_tf2": (saved, crops),
    "shapes_of_tf2": (saved, shapes),
    "agnostic_suppression_of_tf1": (frozen, suppression(as_many_as_there_are, together=True)),
    "fixed_suppression_of_tf1": (frozen, suppression(always_as_many)),
    "fixed_suppression_of_tf2": (saved, suppression(always_as_many)),
    "suppression_of_2018": (frozen, suppression_of_2018),
    "combined_suppression_of_tf1": (frozen, combined),
    "instances_of_tf1": (frozen, few_or_none),
}


def network_alone(folder: Path) -> None:
    path, arrays = frozen(folder / "raw.pb", detector)
    options = TensorFlowSourceOptions(pre="raw", post="raw")
    rebuilt = rebuild(load(find_source(path), "serving_default"), options, "raw", Stopwatch().stage)
    write_model(rebuilt.model, folder / "raw.onnx")
    wanted = {key: arrays[key] for key in ("raw_detection_boxes", "raw_detection_scores")}
    np.savez(folder / "raw.npz", allow_pickle=False, images=arrays["network_input"], **wanted)


def main(folder: Path) -> None:
    network_alone(folder)
    for name, (make, build) in CASES.items():
        path, arrays = make(folder / (f"{name}.pb" if make is frozen else name), build)
        loaded = load(find_source(path), "serving_default")
        rebuilt = rebuild(loaded, TensorFlowSourceOptions(), name, Stopwatch().stage)
        assert not rebuilt.notes, rebuilt.notes
        write_model(rebuilt.model, folder / f"{name}.onnx")
        np.savez(folder / f"{name}.npz", allow_pickle=False, images=IMAGES, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
