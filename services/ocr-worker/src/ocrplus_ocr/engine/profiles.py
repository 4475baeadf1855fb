"""The exact arguments that `paddleocr.PPStructureV3` gets for each device and inference engine.

Pure functions, so that a profile that cannot run on a machine can still be checked against the
installed library's signatures there.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ocrplus_ocr.models import pack


class Profile(StrEnum):
    """What runs the models."""

    CPU = "cpu"
    GPU = "gpu"
    GPU_ONNX = "gpu-onnx"


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How to build PP-StructureV3.

    `models_dir`: the model pack (cpu, gpu-onnx) or a directory of official models (gpu; None:
    PaddleOCR's own cache or hub). `threads`: inference threads, 0 for the machine's cores.
    `steps_off`: names of the steps of `markdown.steps` that are not taken.
    """

    profile: Profile
    device: str = "cpu"
    models_dir: Path | None = None
    threads: int = 0
    steps_off: frozenset[str] = frozenset()


Arguments = dict[str, Any]  # keyword arguments of many types

# PP-StructureV3's pipeline description, changed for pages that come one by one: its default of
# eight pages a step would hold the first page back until the eighth is done.
_PAGES_A_STEP: Final = 1
_RECOGNITION_BATCH_CPU: Final = 4  # eight cost 0.2 GiB more and gain nothing on two cores
# With 32, where short lines stand beside much wider ones, and TF32 the score was 0.011 lower.
RECOGNITION_BATCH_GPU: Final = 8
_RECOGNITION_BATCH_PADDLE: Final = 32
_LAYOUT_THRESHOLD: Final = 0.4

# Options of ONNX Runtime's CUDA provider.
_CUDA: Final[dict[str, str]] = {
    # The default tries every algorithm whenever a shape changes: 2.8 s more a scanned page.
    "cudnn_conv_algo_search": "HEURISTIC",
    # The default, TF32, rounds to ten bits, and the GPU is hardly busy without.
    "use_tf32": "0",
    # The default doubles what it takes, and every session has its own.
    "arena_extend_strategy": "kSameAsRequested",
}

# Loaded and never run: they would only hold memory on the GPU.
_BESIDE_GPU: Final = ("WiredTableCellsDetection", "WirelessTableCellsDetection")

_OFFICIAL: Final[dict[str, str]] = {
    "layout_detection": "PP-DocLayout_plus-L",
    "text_detection": "PP-OCRv5_server_det",
    "text_recognition": "PP-OCRv5_server_rec",
    "table_classification": "PP-LCNet_x1_0_table_cls",
    "wired_table_structure_recognition": "SLANeXt_wired",
    "wireless_table_structure_recognition": "SLANet_plus",
    "wired_table_cells_detection": "RT-DETR-L_wired_table_cell_det",
    "wireless_table_cells_detection": "RT-DETR-L_wireless_table_cell_det",
    "doc_orientation_classify": "PP-LCNet_x1_0_doc_ori",
    "formula_recognition": "PP-FormulaNet_plus-M",
}

_FROM_PACK: Final[dict[str, str]] = {
    "layout_detection": pack.LAYOUT,
    "text_detection": pack.TEXT_DETECTION,
    "text_recognition": pack.TEXT_RECOGNITION,
    "table_classification": pack.TABLE_KIND,
    "wired_table_structure_recognition": pack.TABLE_STRUCTURE,
    "wireless_table_structure_recognition": pack.TABLE_STRUCTURE,
    # Loaded but never run: the structure model works end to end (see `predict_arguments`).
    "wired_table_cells_detection": pack.LAYOUT,
    "wireless_table_cells_detection": pack.LAYOUT,
    "doc_orientation_classify": pack.PAGE_ORIENTATION,
}


def constructor_arguments(config: EngineConfig, pipeline: Arguments) -> Arguments:
    """Arguments of `PPStructureV3(...)`; `pipeline` is PaddleX's description, which is changed."""
    if config.profile is Profile.GPU:
        return _official(config, _one_page_a_step(pipeline, _RECOGNITION_BATCH_PADDLE))
    return _packed(config, _one_page_a_step(pipeline, _batch(config)))


def predict_arguments(config: EngineConfig) -> Arguments:
    """Arguments of each `predict(...)`."""
    if config.profile is Profile.GPU:
        return {"use_table_orientation_classify": False}
    return {
        "use_e2e_wired_table_rec_model": True,
        "use_e2e_wireless_table_rec_model": True,
        "use_table_orientation_classify": False,
    }


def _batch(config: EngineConfig) -> int:
    return _RECOGNITION_BATCH_CPU if config.profile is Profile.CPU else RECOGNITION_BATCH_GPU


def _one_page_a_step(pipeline: Arguments, recognition_batch: int) -> Arguments:
    pipeline["batch_size"] = _PAGES_A_STEP
    general = pipeline["SubPipelines"]["GeneralOCR"]
    general["batch_size"] = _PAGES_A_STEP
    general["SubModules"]["TextRecognition"]["batch_size"] = recognition_batch
    pipeline["SubModules"]["LayoutDetection"]["batch_size"] = _PAGES_A_STEP
    return pipeline


_OFF: Final[Arguments] = {
    "use_doc_unwarping": False,
    "use_textline_orientation": False,
    "use_seal_recognition": False,
    "use_chart_recognition": False,
    "use_region_detection": False,
    "use_table_recognition": True,
    "format_block_content": False,
}


def _packed(config: EngineConfig, pipeline: Arguments) -> Arguments:
    assert config.models_dir is not None, "the model pack's folder"
    # The pack's own layout model has one threshold for all; the default ones name other classes.
    for default in ("threshold", "layout_merge_bboxes_mode"):
        pipeline["SubModules"]["LayoutDetection"].pop(default, None)
    orientation = str(config.models_dir / pack.PAGE_ORIENTATION)
    tables = pipeline["SubPipelines"]["TableRecognition"]["SubModules"]
    tables["TableOrientationClassify"]["model_dir"] = orientation
    engine: Arguments = {
        "intra_op_num_threads": config.threads,
        "log_severity_level": 3,
        # The arena keeps the largest shape of every layer: 1.75 GiB instead of 0.9.
        "enable_cpu_mem_arena": False,
    }
    if config.profile is Profile.GPU_ONNX:
        engine["provider_options"] = dict(_CUDA)
        for module in _BESIDE_GPU:
            tables[module]["engine_config"] = {
                "providers": ["CPUExecutionProvider"],
                "provider_options": [{}],
            }
    return {
        "paddlex_config": pipeline,
        "device": config.device,
        "engine": "onnxruntime",
        "engine_config": engine,
        "layout_threshold": _LAYOUT_THRESHOLD,
        "use_doc_orientation_classify": True,
        "use_formula_recognition": False,
        **_OFF,
        **_models(_FROM_PACK, config.models_dir),
    }


def _official(config: EngineConfig, pipeline: Arguments) -> Arguments:
    return {
        "paddlex_config": pipeline,
        "device": config.device,
        "engine": "paddle",
        "use_doc_orientation_classify": True,
        "use_formula_recognition": True,
        **_OFF,
        **_models(_OFFICIAL, config.models_dir),
    }


def _models(names: dict[str, str], folder: Path | None) -> Arguments:
    arguments: Arguments = {f"{slot}_model_name": name for slot, name in names.items()}
    if folder is not None:
        arguments |= {f"{slot}_model_dir": str(folder / name) for slot, name in names.items()}
    return arguments


def official_models() -> frozenset[str]:
    """Names of the models that a directory for the gpu profile must hold."""
    return frozenset(_OFFICIAL.values())
