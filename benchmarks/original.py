"""Every quality document through the real services by the original protocol, then scored.

python benchmarks/original.py [SET] [OUT] [--url URL]
Writes OUT/NAME.md and OUT/NAME/page_N.md and runs the corpus' own scorer on them.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import corpus
import results
from service import original_client, service


def convert_all(http: str, documents: list[corpus.Document], out: Path) -> dict[str, Any]:
    """Convert document after document; what each client received."""
    outcome: dict[str, Any] = {"documents": len(documents), "results": 0, "errors": {}}
    for document in documents:
        pdf = document.path.read_bytes()
        first, last = asyncio.run(original_client(http, "bench", document.name, pdf))
        assert first == {"task_id": document.name, "status": "submitted"}, first
        if "result" not in last:
            outcome["errors"][document.name] = last
            continue
        outcome["results"] += 1
        pages = last["result"]["markdown"]
        folder = out / document.name
        folder.mkdir(parents=True, exist_ok=True)
        for page in pages:
            (folder / f"page_{page['page']}.md").write_text(page["markdown"], "utf-8")
        whole = "\n\n".join(page["markdown"] for page in pages)
        (out / f"{document.name}.md").write_text(whole, "utf-8")
        print(f"{document.name}: {len(pages)} pages, {last['result']['elapsed_time']}", flush=True)
    return outcome


def score(folder: Path, out: Path) -> dict[str, float]:
    """The scorer's means over the set."""
    report = out / "score.json"
    scorer = folder.parent / "score.py"
    command = [sys.executable, str(scorer), str(folder), str(out), "--json", str(report)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    scored = json.loads(report.read_text())
    return {k: v for k, v in scored["mean"]["all"].items() if v is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", nargs="?", type=Path, default=corpus.DEFAULT)
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--url", help="a running service; default: start one")
    arguments = parser.parse_args()
    documents = corpus.documents(arguments.set)
    out = arguments.out or Path(tempfile.mkdtemp(prefix="ocrplus-original-"))
    if arguments.url:
        outcome = convert_all(arguments.url, documents, out)
    else:
        with service() as running:
            outcome = convert_all(running.http, documents, out)
    figures = {**outcome, "score": score(arguments.set, out)}
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    results.write("original", figures)


if __name__ == "__main__":
    main()
