"""Every profile's arguments against the installed library, also of those that cannot run here."""

import inspect
import os
from pathlib import Path
from typing import Any

import pytest

from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr.engine.build import engine_config, missing_models
from ocrplus_ocr.engine.profiles import (
    EngineConfig,
    Profile,
    constructor_arguments,
    predict_arguments,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # the library's own imports warn

CONFIGS = {
    Profile.CPU: EngineConfig(Profile.CPU, "cpu", Path("pack"), 2),
    Profile.GPU: EngineConfig(Profile.GPU, "gpu:0", Path("official")),
    Profile.GPU_ONNX: EngineConfig(Profile.GPU_ONNX, "gpu:1", Path("pack")),
}


@pytest.fixture(scope="module")
def library() -> Any:
    import paddleocr

    return paddleocr


def pipeline() -> dict[str, Any]:
    from paddlex.inference import load_pipeline_config

    return load_pipeline_config("PP-StructureV3")


@pytest.mark.parametrize("profile", Profile)
def test_every_argument_is_one_the_library_knows(profile: Profile, library: Any) -> None:
    arguments = constructor_arguments(CONFIGS[profile], pipeline())

    own = set(inspect.signature(library.PPStructureV3.__init__).parameters)
    common = {"device", "engine", "engine_config", "paddlex_config"}
    assert set(arguments) <= own | common


@pytest.mark.parametrize("profile", Profile)
def test_every_predict_argument_is_one_the_library_knows(profile: Profile, library: Any) -> None:
    known = set(inspect.signature(library.PPStructureV3.predict).parameters)

    assert set(predict_arguments(CONFIGS[profile])) | {"use_doc_orientation_classify"} <= known


def test_the_onnx_options_are_fields_of_the_runners_configuration(library: Any) -> None:
    from paddlex.inference.models.runners.onnxruntime_runner import ONNXRuntimeRunnerConfig

    for profile in (Profile.CPU, Profile.GPU_ONNX):
        options = constructor_arguments(CONFIGS[profile], pipeline())["engine_config"]
        accepted = ONNXRuntimeRunnerConfig.model_validate(options)  # refuses what it does not know
        assert accepted.enable_cpu_mem_arena is False


def test_cuda_plans_by_rule_and_keeps_all_digits(library: Any) -> None:
    from paddlex.inference.models.runners.onnxruntime_runner import ONNXRuntimeRunnerConfig

    arguments = constructor_arguments(CONFIGS[Profile.GPU_ONNX], pipeline())
    options = ONNXRuntimeRunnerConfig.model_validate(arguments["engine_config"]).provider_options
    assert options == {
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested",
    }


@pytest.mark.parametrize(("profile", "beside"), [(Profile.CPU, 0), (Profile.GPU_ONNX, 2)])
def test_what_is_never_run_stays_off_the_gpu(profile: Profile, beside: int, library: Any) -> None:
    from paddlex.inference.models.runners.onnxruntime_runner import ONNXRuntimeRunnerConfig

    described = constructor_arguments(CONFIGS[profile], pipeline())["paddlex_config"]
    tables = described["SubPipelines"]["TableRecognition"]["SubModules"]
    own = {
        name: model["engine_config"] for name, model in tables.items() if "engine_config" in model
    }

    assert len(own) == beside and all("CellsDetection" in name for name in own)
    for options in own.values():
        wanted = ONNXRuntimeRunnerConfig.model_validate(options).providers
        assert wanted == ["CPUExecutionProvider"]


def test_threads_are_the_machines_cores_and_two_beside_a_gpu() -> None:
    gpu = {"device": "gpu", "engine": "onnxruntime"}

    assert engine_config(OcrSettings()).threads == os.cpu_count()
    assert engine_config(OcrSettings(**gpu)).threads == 2
    assert engine_config(OcrSettings(**gpu, engine_threads=5)).threads == 5


def test_pages_are_handed_out_one_by_one() -> None:
    for config in CONFIGS.values():
        described = constructor_arguments(config, pipeline())["paddlex_config"]
        assert described["batch_size"] == 1
        assert described["SubPipelines"]["GeneralOCR"]["batch_size"] == 1


def test_models_come_from_the_given_directory_only() -> None:
    for config in CONFIGS.values():
        arguments = constructor_arguments(config, pipeline())
        for name in (n for n in arguments if n.endswith("_model_name")):
            folder = arguments[name.replace("_name", "_dir")]
            assert folder == str(Path(str(config.models_dir)) / arguments[name])


@pytest.mark.parametrize(
    ("settings", "profile", "device"),
    [
        ({}, Profile.CPU, "cpu"),
        ({"device": "gpu"}, Profile.GPU, "gpu:0"),
        ({"device": "gpu:2", "engine": "onnxruntime"}, Profile.GPU_ONNX, "gpu:2"),
    ],
)
def test_settings_choose_the_profile(settings: Any, profile: Profile, device: str) -> None:
    config = engine_config(OcrSettings(**settings))

    assert (config.profile, config.device) == (profile, device)


def test_missing_models_are_named(tmp_path: Path) -> None:
    packed = missing_models(OcrSettings(models_dir=tmp_path))
    official = missing_models(OcrSettings(device="gpu", models_dir=tmp_path))

    assert "PP-OCRv6_small_rec" in packed
    assert "PP-DocLayout_plus-L" in official
