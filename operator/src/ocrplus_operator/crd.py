"""`python -m ocrplus_operator.crd FILE`: bring the WorkerPool CRD of the cluster up to date.

What the chart's hook runs before an upgrade, since Helm installs a CRD once and never touches it
again. Server-side apply, so that nothing is lost but what this file says.
"""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Final

import yaml

from ocrplus_contract import logs
from ocrplus_operator.errors import ApiError
from ocrplus_operator.kube import FIELD_MANAGER, Kube, Object

log = logging.getLogger("ocrplus_operator.crd")

_FOLDER: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def apply(definition: Object) -> int:
    """Apply one CRD; the generation that it has now.

    Raises:
        ApiError: the server refused, or there was no answer.
    """
    async with Kube() as kube:
        answer = await kube.request(
            "PATCH",
            f"{_FOLDER}/{definition['metadata']['name']}",
            body=definition,
            content="application/apply-patch+yaml",  # JSON is YAML
            params={"fieldManager": FIELD_MANAGER, "force": "true"},
        )
    return int(answer["metadata"]["generation"])


def main() -> int:
    """0 when applied, 1 with the reason when not, 2 for wrong usage."""
    if len(sys.argv) != 2:
        print("usage: python -m ocrplus_operator.crd FILE", file=sys.stderr)
        return 2
    definition: Object = yaml.safe_load(Path(sys.argv[1]).read_text("utf-8"))
    try:
        generation = asyncio.run(apply(definition))
    except ApiError as error:
        log.error("the CRD could not be applied", extra={"error": error})
        return 1
    log.info("the CRD is up to date", extra={"generation": generation})
    return 0


if __name__ == "__main__":
    logs.configure("operator")
    sys.exit(main())
