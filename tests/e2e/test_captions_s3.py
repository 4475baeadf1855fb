"""Captions and a bucket at once, as pods: figures are described, nothing is lost, nothing stays.

One release with both; model and bucket are pods beyond it (tests/support/beyond.py). The model is
played, the S3 server is real. Tests run in their order: the last ones let documents expire and
uninstall.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator

import beyond
import pytest
from beyond import Beyond
from cluster_client import Door, Follower, following, loaded
from figure_documents import figure_document
from release import BASE, IMAGE_TAG, ROUTED, CommandFailed, Release, kubectl, note, until

GROUP = "captions_s3"
HOST = "figures.test"
SAID = "> A picture of a harbour"
# Quick to notice and to forget: a model that is away, a dead pod's lease.
QUICK = (
    "settings.leaseSeconds=10",
    "captionWorker.config.OCRPLUS_CAPTION__CONCURRENCY=2",
    "captionWorker.config.OCRPLUS_CAPTION__ATTEMPTS=2",
    "captionWorker.config.OCRPLUS_CAPTION__RETRY_SECONDS=0.5",
    "captionWorker.config.OCRPLUS_CAPTION__BREAKER_FAILURES=3",
    "captionWorker.config.OCRPLUS_CAPTION__BREAKER_SECONDS=2",
)
CHANGED = tuple(
    f"{component}.podAnnotations.rollout=second"
    for component in ("gateway", "ocrWorker", "captionWorker", "operator")
)
AWAY_SECONDS = 20
LONG_PAGES = 24  # some half a minute of reading
ALL_GONE_SECONDS = 120  # a lifetime of 60 s and the sweeper's round


@pytest.fixture(scope="module")
def outside(cluster: str) -> Iterator[Beyond]:
    """The model and the bucket."""
    with beyond.running() as servers:
        yield servers


@pytest.fixture(scope="module")
def settings(outside: Beyond) -> tuple[str, ...]:
    """All values of the release beside those for CPUs."""
    routed = [ROUTED[0], ROUTED[1], f'gatewayApi.hostnames=["{HOST}"]']
    return (*routed, *outside.settings, *QUICK)


@pytest.fixture(scope="module")
def figured(outside: Beyond, settings: tuple[str, ...]) -> Release:
    """The chart with captions and bucket, in a namespace under *restricted*; a test removes it."""
    release = Release("ocrplus-figures", settings=[f"image.tag={IMAGE_TAG}"])
    beyond.secrets(release.namespace)
    release.install("cpu", settings=settings, seconds=400)
    return release


@pytest.fixture
def figures(figured: Release) -> Door:
    """The release through the ingress."""
    return Door(BASE, figured.token(), host=HOST)


async def described(follower: Follower, task: str, seconds: float = 240) -> Counter[str]:
    """Wait until each figure of a task has its caption, once; how they ended."""
    deadline = time.monotonic() + seconds
    while True:
        told = Counter(e["figure"] for e in _captions(follower, task))
        wanted = {figure["id"] for page in follower.pages(task) for figure in page["figures"]}
        if task in follower.results and wanted <= told.keys():
            break
        assert time.monotonic() < deadline, f"of {wanted} came {dict(told)}"
        await asyncio.sleep(0.1)
    assert set(told.values()) <= {1} and wanted == told.keys()
    return Counter(f"{e['state']} {e['reason'] or ''}".strip() for e in _captions(follower, task))


def _captions(follower: Follower, task: str) -> list[dict[str, object]]:
    return [e for e in follower.events if e["type"] == "caption" and e["task_id"] == task]


def _waited(follower: Follower, task: str) -> float:
    """Seconds between a task's last page and its result, as they came."""
    came = [
        (e["type"], at)
        for e, at in zip(follower.events, follower.times, strict=True)
        if e["task_id"] == task and e["type"] in ("page", "result")
    ]
    pages = [at for kind, at in came if kind == "page"]
    return came[-1][1] - max(pages)


async def markdown(door: Door, follower: Follower, task: str) -> str:
    """The whole document as it can be fetched."""
    async with door.http() as http:
        answer = await http.get(f"/v1/tasks/{task}/result.md", params={"user": follower.user})
    return answer.raise_for_status().text


async def test_it_is_ready_and_its_policies_are_there(figured: Release, figures: Door) -> None:
    policies = {one["metadata"]["name"] for one in figured.objects("networkpolicies")}
    ready = {name: figured.ready(name) for name in ("gateway", "ocr-worker", "caption-worker")}

    assert ready == {"gateway": 2, "ocr-worker": 1, "caption-worker": 1}
    assert {"ocrplus-default-deny", "ocrplus-caption-worker", "ocrplus-gateway"} <= policies
    assert figured.restarts() == {}
    gateway = f"{figured.name}-gateway.{figured.namespace}"
    assert _reached(beyond.NAMESPACE, "deployment/vlm", gateway, 8080)
    assert set(_strangers(figured).values()) == {False}
    note(
        GROUP,
        install_seconds=round(figured.install_seconds, 1),
        network_policies=f"{len(policies)}, enforced by the node",
    )


def _reached(namespace: str, pod: str, host: str, port: int) -> bool:
    """Whether a pod gets a connection."""
    reach = f"import socket; socket.create_connection(('{host}', {port}), 5)"
    try:
        kubectl("-n", namespace, "exec", pod, "--", "python", "-c", reach)
    except CommandFailed:
        return False
    return True


def _strangers(release: Release) -> dict[str, bool]:
    """Ways that a policy closes, and whether a pod comes through: all, or none."""
    redis = (f"{release.name}-redis.{release.namespace}", 6379)
    model = (f"vlm.{beyond.NAMESPACE}", beyond.VLM_PORT)
    own = release.namespace
    return {
        "gateway to model": _reached(own, f"deployment/{release.name}-gateway", *model),
        "OCR worker to model": _reached(own, f"deployment/{release.name}-ocr-worker", *model),
        "stranger to Redis": _reached(beyond.NAMESPACE, "deployment/vlm", *redis),
    }


async def test_figures_are_described_and_lie_in_the_bucket_until_deleted(
    figures: Door, outside: Beyond
) -> None:
    outside.vlm.control(reset=True, mode="ok", seconds=0)
    async with following(figures) as follower:
        began = time.monotonic()
        task = await follower.submit(figure_document(3, seed=1))
        ended = await described(follower, task)
        seconds = time.monotonic() - began
        text = await markdown(figures, follower, task)
        prefix = f"e2e/{follower.user}/{task}/"
        stored = outside.bucket.names(prefix)
        async with figures.http() as http:
            gone = await http.delete(f"/v1/tasks/{task}", params={"user": follower.user})

    assert ended["ok"] == ended.total() >= 3
    assert follower.results[task]["captions"] == "complete"
    assert text.count(f".png)\n\n{SAID}") == ended["ok"]
    assert "authorization" in outside.vlm.stats()["last"]["headers"]
    assert Counter(name.rpartition(".")[2] for name in stored) == {"pdf": 1, "png": ended["ok"]}
    assert gone.status_code == 204
    assert outside.bucket.names(prefix) == []
    note(GROUP, document_seconds=round(seconds, 1), figures=ended["ok"], objects=len(stored))


@pytest.mark.parametrize(
    ("how", "flags"), [("drained", ()), ("killed", ("--grace-period=0", "--force"))]
)
async def test_a_caption_pod_that_goes_in_the_middle_loses_no_figure(
    figured: Release, figures: Door, outside: Beyond, how: str, flags: tuple[str, ...]
) -> None:
    outside.vlm.control(reset=True, mode="ok", seconds=3)
    async with following(figures) as follower:
        task = await follower.submit(figure_document(4, seed=10 + len(flags)))
        await asyncio.to_thread(until, lambda: outside.vlm.stats()["at_once"], 240, "a call")
        pod = figured.pods("caption-worker")[0]["metadata"]["name"]
        began = time.monotonic()
        figured.kubectl("delete", "pod", pod, "--wait=false", *flags)
        ended = await described(follower, task)
        seconds = time.monotonic() - began

    asked = outside.vlm.stats()["pictures"]
    outside.vlm.control(seconds=0)
    assert follower.lost == []
    assert follower.statuses() == {"ok": 1}
    assert ended["ok"] == ended.total() >= 4
    note(GROUP, **{f"{how}_seconds": round(seconds, 1), f"{how}_asked": sum(asked.values())})


async def test_a_model_that_is_away_holds_up_no_document_and_comes_back(
    figured: Release, figures: Door, outside: Beyond
) -> None:
    outside.vlm.control(reset=True, mode="ok", seconds=0)
    async with following(figures) as follower:
        with outside.without("vlm") as since:
            first = await follower.submit(figure_document(3, seed=20))
            state = ("HGET", "caption-breaker", "state")
            opened = ("open", "half_open")
            await asyncio.to_thread(
                until, lambda: figured.redis(*state) in opened, 240, "the breaker opens", 0.5
            )
            second = await follower.submit(figure_document(2, seed=21))
            await follower.all_results(240)
            await asyncio.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - since)))
            away = time.monotonic() - since
        back = time.monotonic()
        late = {task: await described(follower, task) for task in (first, second)}
        back_seconds = time.monotonic() - back
        text = await markdown(figures, follower, second)
        third = await follower.submit(figure_document(1, seed=22))
        await described(follower, third)

    assert follower.statuses() == {"ok": 3}
    assert follower.lost == []
    assert follower.results[second]["captions"] == "partial"
    waited = _waited(follower, second)
    assert waited < 10  # of 30 s that a result waits for captions else
    # Those that were asked about twice are given up with their reason; nobody else is.
    assert set(late[first]) <= {"ok", "failed caption_model_failed"}
    assert late[second]["ok"] >= 1 and text.count(SAID) == late[second]["ok"]
    assert follower.results[third]["captions"] == "complete"
    assert figured.restarts() == {}
    note(
        GROUP,
        model_away_seconds=round(away, 1),
        model_away_result_waited_seconds=round(waited, 2),
        model_back_seconds=round(back_seconds, 1),
        model_back=[dict(late[first]), dict(late[second])],
    )


async def test_a_bucket_that_is_away_for_20_s_costs_no_page(
    figured: Release, figures: Door, outside: Beyond
) -> None:
    documents = [figure_document(2, seed=seed) for seed in range(30, 50)]
    async with loaded(figures, documents, pause=4) as follower:
        long = await follower.submit(figure_document(LONG_PAGES, seed=50))
        async with asyncio.timeout(240):
            while not follower.pages(long):
                await asyncio.sleep(0.1)
        with outside.without("s3") as since:
            in_hand = LONG_PAGES - len(follower.pages(long))
            await asyncio.sleep(AWAY_SECONDS)
        away = time.monotonic() - since
        await asyncio.sleep(8)

    assert follower.lost == []
    assert set(follower.statuses()) == {"ok"}
    states = Counter(e["state"] for e in follower.events if e["type"] == "page")
    assert states == {"ok": 2 * (len(follower.accepted) - 1) + LONG_PAGES}
    assert in_hand > 0, "the long document was read before the bucket went"
    assert figured.restarts() == {}
    note(
        GROUP,
        bucket_away_seconds=round(away, 1),
        bucket_away_documents=len(follower.accepted),
        bucket_away_pages=dict(states),
        bucket_away_pages_in_hand=in_hand,
        bucket_away_refused=dict(follower.refused),
    )


async def test_an_upgrade_and_a_rollback_lose_no_figure(
    figured: Release, figures: Door, settings: tuple[str, ...]
) -> None:
    documents = [figure_document(2, seed=seed) for seed in range(60, 100)]
    async with loaded(figures, documents, pause=5) as follower:
        await asyncio.sleep(5)
        changed = (*settings, *CHANGED)
        upgraded = await asyncio.to_thread(figured.upgrade, "cpu", settings=changed, seconds=600)
        began = time.monotonic()
        await asyncio.to_thread(
            figured.helm, "rollback", figured.name, "--wait", "--timeout=600s", seconds=630
        )
        rolled_back = time.monotonic() - began
        await asyncio.sleep(3)
        flowing = list(follower.accepted)
        ends = sum([await described(follower, task) for task in flowing], Counter[str]())

    assert follower.lost == []
    assert set(follower.statuses()) == {"ok"}
    assert set(ends) == {"ok"}
    assert figured.restarts() == {}
    note(
        GROUP,
        upgrade_seconds=round(upgraded, 1),
        rollback_seconds=round(rolled_back, 1),
        rollout_documents=len(follower.accepted),
        rollout_captions=ends.total(),
        rollout_lost_events=len(follower.lost),
    )


def test_helm_test_passes(figured: Release) -> None:
    began = time.monotonic()
    figured.helm("test", figured.name, "--timeout=300s", seconds=330)
    note(GROUP, helm_test_seconds=round(time.monotonic() - began, 1))


async def test_what_expires_leaves_the_bucket(
    figured: Release, figures: Door, outside: Beyond, settings: tuple[str, ...]
) -> None:
    short = ("settings.resultTtlSeconds=60", "gateway.config.OCRPLUS_SWEEP_SECONDS=5")
    figured.upgrade("cpu", settings=(*settings, *short), seconds=600)
    async with following(figures) as follower:
        task = await follower.submit(figure_document(1, seed=200))
        await described(follower, task)
        prefix = f"e2e/{follower.user}/{task}/"
        assert len(outside.bucket.names(prefix)) == 2
        outside.age(prefix, 11)  # the sweeper spares what is younger than ten minutes
        await asyncio.sleep(10)
        assert len(outside.bucket.names(prefix)) == 2, "it went before its job"
        began = time.monotonic()
        await asyncio.to_thread(
            until, lambda: not outside.bucket.names(prefix), ALL_GONE_SECONDS, "it expires", 1
        )
        note(GROUP, expired_seconds=round(time.monotonic() - began, 1))
        async with figures.http() as http:
            answer = await http.get(f"/v1/tasks/{task}", params={"user": follower.user})
    assert answer.status_code == 410


def test_uninstall_leaves_only_what_holds_data(figured: Release) -> None:
    began = time.monotonic()
    figured.uninstall()
    until(lambda: not figured.objects("pods"), 200, "every pod ends without its Redis", 1)
    pods_gone = time.monotonic() - began

    left = figured.leftovers()
    assert left == {
        "Secret/ocrplus-auth",
        "PersistentVolumeClaim/data-ocrplus-redis-0",
        "Secret/vlm",  # made beside the chart
        "Secret/bucket",
    }
    note(GROUP, pods_gone_seconds=round(pods_gone, 1), leaves=sorted(left))
    kubectl("delete", "namespace", figured.namespace, "--wait=false")
