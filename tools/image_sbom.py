"""Adds the base image's Debian packages to an image's bill of materials: `image.sh` runs it.

What made the bill knows Python's packages only. Nothing but the standard library: it runs in the
build stage.
"""

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

SECONDS: Final = 60
_FORMAT: Final = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\n"


def debian_packages() -> list[dict[str, Any]]:
    """Installed packages as CycloneDX components; none where dpkg is not."""
    if shutil.which("dpkg-query") is None:
        return []
    command = ["dpkg-query", "--show", f"--showformat={_FORMAT}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
    rows = (line.split("\t") for line in said.stdout.splitlines())
    system = platform.freedesktop_os_release()
    return [_component(row, system) for row in sorted(rows) if row[0] == "installed"]


def _component(row: list[str], system: dict[str, str]) -> dict[str, Any]:
    _, name, version, architecture, source = row
    distribution = f"{system['ID']}-{system.get('VERSION_ID', 'unstable')}"
    within = f"arch={architecture}&distro={distribution}&upstream={quote(source)}"
    purl = f"pkg:deb/{system['ID']}/{quote(name)}@{quote(version, safe='')}?{within}"
    component = {"type": "library", "bom-ref": purl, "name": name, "version": version}
    return component | {"purl": purl}


def main() -> int:
    path = Path(sys.argv[1])
    bill = json.loads(path.read_text("utf-8"))
    bill["components"] += debian_packages()
    path.write_text(json.dumps(bill, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
