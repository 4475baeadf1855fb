"""ONNX graphs that the wheels do not carry ready-made: PicoDet's decoding, a constant classifier.

`onnx` is needed only here, when the pack is assembled.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYOUT_HEIGHT: Final = 800
LAYOUT_WIDTH: Final = 608
_STRIDES: Final = (8, 16, 32, 64)
_BINS: Final = 8  # PicoDet predicts each box side as a distribution over eight distances
_LEAST_SCORE: Final = 0.05
_IOU: Final = 0.5
_MOST_PER_CLASS: Final = 100


@dataclass
class _Graph:
    """Nodes and constants to append; each method returns the name of its output."""

    nodes: list[Any] = field(default_factory=list)  # onnx protobufs are untyped
    constants: list[Any] = field(default_factory=list)

    def constant(self, name: str, value: Any, kind: type[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def node(self, operation: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operation, inputs, [name], name=name, **attributes))
        return name


def with_detection_output(model_bytes: bytes) -> bytes:
    """Give a raw PicoDet the output that PaddleX's detector expects.

    In: `image` [1, 3, 800, 608] and the new `scale_factor` [1, 2] (y, x). Out: `boxes` [N, 6]
    (class, score, x0, y0, x1, y1 in pixels of the original image) and `num` [1].
    """
    model = onnx.load_from_string(model_bytes)
    outputs = [output.name for output in model.graph.output]
    scores, sides = outputs[: len(_STRIDES)], outputs[len(_STRIDES) :]
    graph = _Graph()
    boxes = graph.node("Concat", _decoded_boxes(graph, sides), "ocrplus_boxes", axis=1)
    stacked = graph.node("Concat", scores, "ocrplus_scores", axis=1)
    by_class = graph.node("Transpose", [stacked], "ocrplus_by_class", perm=[0, 2, 1])
    detections, count = _suppressed(graph, boxes, by_class)
    model.graph.node.extend(graph.nodes)
    model.graph.initializer.extend(graph.constants)
    model.graph.input.append(
        helper.make_tensor_value_info("scale_factor", TensorProto.FLOAT, [1, 2])
    )
    del model.graph.output[:]
    model.graph.output.extend(
        [
            helper.make_tensor_value_info(detections, TensorProto.FLOAT, ["N", 6]),
            helper.make_tensor_value_info(count, TensorProto.INT32, [1]),
        ]
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _decoded_boxes(graph: _Graph, sides: list[str]) -> list[str]:
    """Boxes of each feature level in input pixels: centre -/+ expected distance."""
    distances = graph.constant("ocrplus_distances", np.arange(_BINS).reshape(_BINS, 1), np.float32)
    by_side = graph.constant("ocrplus_by_side", [1, -1, 4, _BINS], np.int64)
    last_axis = graph.constant("ocrplus_last_axis", [3], np.int64)
    levels = []
    for stride, raw in zip(_STRIDES, sides, strict=True):
        rows, columns = -(-LAYOUT_HEIGHT // stride), -(-LAYOUT_WIDTH // stride)
        x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
        centres = np.stack([x, y, x, y], -1).reshape(1, -1, 4) * stride
        centre = graph.constant(f"ocrplus_centre_{stride}", centres, np.float32)
        sign = graph.constant(
            f"ocrplus_sign_{stride}", [[[-stride, -stride, stride, stride]]], np.float32
        )
        logits = graph.node("Reshape", [raw, by_side], f"ocrplus_logits_{stride}")
        shares = graph.node("Softmax", [logits], f"ocrplus_shares_{stride}", axis=-1)
        mean = graph.node("MatMul", [shares, distances], f"ocrplus_mean_{stride}")
        side = graph.node("Squeeze", [mean, last_axis], f"ocrplus_side_{stride}")
        offset = graph.node("Mul", [side, sign], f"ocrplus_offset_{stride}")
        levels.append(graph.node("Add", [centre, offset], f"ocrplus_box_{stride}"))
    return levels


def _suppressed(graph: _Graph, boxes: str, scores: str) -> tuple[str, str]:
    """Non-maximum suppression, clipping, and back to original pixels."""
    limits = [
        graph.constant("ocrplus_most", _MOST_PER_CLASS, np.int64),
        graph.constant("ocrplus_iou", _IOU, np.float32),
        graph.constant("ocrplus_least", _LEAST_SCORE, np.float32),
    ]
    kept = graph.node("NonMaxSuppression", [boxes, scores, *limits], "ocrplus_kept")
    first = graph.constant("ocrplus_0", [0], np.int64)
    one = graph.constant("ocrplus_1", [1], np.int64)
    two = graph.constant("ocrplus_2", [2], np.int64)
    kinds = graph.node("Gather", [kept, one], "ocrplus_kind", axis=1)
    kinds = graph.node("Cast", [kinds], "ocrplus_kind_float", to=TensorProto.FLOAT)
    index = graph.node("Gather", [kept, two], "ocrplus_index", axis=1)
    index = graph.node("Squeeze", [index, one], "ocrplus_index_flat")
    flat = graph.node("Squeeze", [boxes, first], "ocrplus_boxes_flat")
    chosen = graph.node("Gather", [flat, index], "ocrplus_chosen", axis=0)
    confidence = graph.node("GatherND", [scores, kept], "ocrplus_confidence")
    confidence = graph.node("Unsqueeze", [confidence, one], "ocrplus_confidence_column")
    low = graph.constant("ocrplus_low", np.zeros((1, 4)), np.float32)
    high = graph.constant(
        "ocrplus_high", [[LAYOUT_WIDTH, LAYOUT_HEIGHT, LAYOUT_WIDTH, LAYOUT_HEIGHT]], np.float32
    )
    chosen = graph.node("Max", [chosen, low], "ocrplus_above")
    chosen = graph.node("Min", [chosen, high], "ocrplus_inside")
    order = graph.constant("ocrplus_xyxy", [1, 0, 1, 0], np.int64)
    scale = graph.node("Gather", ["scale_factor", order], "ocrplus_scale", axis=1)
    chosen = graph.node("Div", [chosen, scale], "ocrplus_original")
    detections = graph.node("Concat", [kinds, confidence, chosen], "boxes", axis=1)
    shape = graph.node("Shape", [kept], "ocrplus_kept_shape")
    number = graph.node("Slice", [shape, first, one], "ocrplus_number")
    count = graph.node("Cast", [number], "num", to=TensorProto.INT32)
    return detections, count


def constant_classifier(answer: int, classes: int) -> bytes:
    """A classifier that always gives the same class: no table classifier's weights are packaged,
    and both table kinds use the same structure model here."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 224, 224])
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", classes])
    one_hot = np.zeros((1, classes), np.float32)
    one_hot[0, answer] = 1
    graph = _Graph()
    zero = graph.constant("zero", 0, np.float32)
    axis = graph.constant("axis", [1], np.int64)
    fixed = graph.constant("answer", one_hot, np.float32)
    mean = graph.node("ReduceMean", ["x"], "mean", axes=[1, 2, 3], keepdims=0)
    nothing = graph.node("Mul", [mean, zero], "nothing")
    column = graph.node("Unsqueeze", [nothing, axis], "column")
    graph.node("Add", [column, fixed], "y")
    model = helper.make_model(
        helper.make_graph(graph.nodes, "constant", [image], [scores], graph.constants),
        opset_imports=[helper.make_opsetid("", 13)],
    )
    model.ir_version = 8
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def metadata(model_bytes: bytes) -> dict[str, str]:
    """A model's metadata, e.g. its character list."""
    model = onnx.load_from_string(model_bytes)
    return {entry.key: entry.value for entry in model.metadata_props}


def last_output_size(model_bytes: bytes) -> int:
    """Size of the last axis of the first output: the number of classes."""
    model = onnx.load_from_string(model_bytes)
    return int(model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value)
