"""What the chart's hook runs: the CRD as the file says, whatever an older one said."""

import asyncio
from pathlib import Path

import kube_api
import pytest
import yaml

from ocrplus_operator import crd
from ocrplus_operator.kube import Kube

PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def test_an_older_crd_is_brought_up_to_date(kube: Kube) -> None:
    wanted = yaml.safe_load(kube_api.CRD.read_text())
    older = yaml.safe_load(kube_api.CRD.read_text())
    older["spec"]["versions"][0]["additionalPrinterColumns"] = []
    await kube.create(PATH, older)

    generation = await crd.apply(wanted)

    found = await kube.get(f"{PATH}/workerpools.ocrplus.io")
    assert found["spec"] == wanted["spec"]
    assert generation == 2


async def test_a_server_that_refuses_fails_the_hook_with_its_reason(
    kube: Kube, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.argv", ["crd", str(kube_api.CRD)])  # none is there to be patched

    assert await asyncio.to_thread(crd.main) == 1
    assert "could not be applied" in caplog.text


def test_a_call_without_a_file_says_how(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["crd"])

    assert crd.main() == 2
    assert "usage" in capsys.readouterr().err


def test_the_file_of_the_chart_is_one_that_can_be_applied() -> None:
    chart = Path(__file__).parents[3] / "charts" / "ocrplus" / "crds" / "workerpools.yaml"

    assert yaml.safe_load(chart.read_text()) == yaml.safe_load(kube_api.CRD.read_text())
