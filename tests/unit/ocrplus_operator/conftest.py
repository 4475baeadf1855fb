"""An API server and the operator's client of it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import kube_api
import pytest
import yaml

from ocrplus_operator.kube import Kube


@pytest.fixture
def api() -> Iterator[kube_api.KubeApi]:
    with kube_api.serving() as found:
        yield found


@pytest.fixture
async def kube(
    api: kube_api.KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Kube]:
    config, named = tmp_path / "kubeconfig", {"name": "t"}
    config.write_text(
        yaml.safe_dump(
            {
                "current-context": "t",
                "clusters": [{**named, "cluster": {"server": api.url}}],
                "users": [{**named, "user": {}}],
                "contexts": [{**named, "context": {"cluster": "t", "user": "t"}}],
            }
        )
    )
    monkeypatch.setenv("KUBECONFIG", str(config))
    async with Kube() as client:
        yield client
