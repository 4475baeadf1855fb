"""What is missing says so: in a pod's reason, an Event or a condition; never by restarts alone."""

import json
from collections.abc import Callable, Iterator

import pytest
from release import IMAGE_TAG, Object, Release, kubectl, note, until

LACKING = (
    "auth.existingSecret=no-tokens",
    "captions.baseUrl=https://vlm.example.org/v1",
    "captions.existingSecret=no-key",
    # Pretended GPUs are not enough of them, and the volume with models has no claim.
    "ocrWorker.gpu.enabled=true",
    "ocrWorker.gpu.count=9",
)
MODELS = (
    'ocrWorker.models.volume={"persistentVolumeClaim": {"claimName": "no-models"}}',
    "ocrWorker.gpu.enabled=false",
)
EMPTY = ('ocrWorker.models.volume={"emptyDir": {}}', "ocrWorker.gpu.enabled=false")


@pytest.fixture(scope="module")
def lacking(cluster: str) -> Iterator[Release]:
    """A release that lacks nearly everything; nobody waits for it."""
    release = Release("ocrplus-lacking", settings=[f"image.tag={IMAGE_TAG}"])
    release.install("cpu", settings=LACKING, flags="--no-hooks")  # and does not wait
    yield release
    release.uninstall()
    kubectl("delete", "namespace", release.namespace, "--wait=false")


def said_by_pods(release: Release, component: str) -> list[str]:
    """Reasons and messages of a component's containers and conditions."""
    found = []
    for pod in release.objects("pods", component):
        for status in pod["status"].get("containerStatuses", []):
            for state in (*status["state"].values(), *status.get("lastState", {}).values()):
                found.append(f"{state.get('reason', '')}: {state.get('message', '')}")
        found += [c.get("message", "") for c in pod["status"].get("conditions", [])]
    return found


def said_by_events(release: Release, component: str) -> list[str]:
    """Messages of the Events about a component's pods."""
    events: list[Object] = json.loads(release.kubectl("get", "events", "-o", "json"))["items"]
    return [
        event["message"]
        for event in events
        if event["involvedObject"]["name"].startswith(f"{release.name}-{component}")
    ]


@pytest.mark.parametrize(
    ("component", "look", "word"),
    [
        ("gateway", said_by_events, 'secret "no-tokens" not found'),
        ("caption-worker", said_by_pods, 'secret "no-key" not found'),
        ("ocr-worker", said_by_pods, "Insufficient nvidia.com/gpu"),
    ],
)
def test_a_missing_part_is_named(
    lacking: Release,
    component: str,
    look: Callable[[Release, str], list[str]],
    word: str,
) -> None:
    message = until(
        lambda: next((m for m in look(lacking, component) if word in m), None), 90, word
    )
    assert lacking.restarts() == {}
    note("missing", **{component: message[:160]})


def test_a_missing_models_volume_is_named(lacking: Release) -> None:
    lacking.upgrade("cpu", settings=MODELS, flags="--no-hooks")
    word = 'persistentvolumeclaim "no-models" not found'
    said = until(
        lambda: next((m for m in said_by_pods(lacking, "ocr-worker") if word in m), None), 90, word
    )
    note("missing", models_volume=said[:160])


def test_an_empty_models_folder_ends_the_worker_with_its_reason(lacking: Release) -> None:
    lacking.upgrade("cpu", settings=EMPTY, flags="--no-hooks")
    word = "models are missing"
    said = until(
        lambda: next((m for m in said_by_pods(lacking, "ocr-worker") if word in m), None), 120, word
    )
    note("missing", models=said[:160])
