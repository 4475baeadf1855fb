"""What the documents say is what the code does."""

import json
import re
from pathlib import Path

import pytest
import render_docs

from ocrplus_contract.names import Pool, TaskId, UserId
from ocrplus_contract.settings import known_variables

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", render_docs.PAGES)
def test_the_generated_documents_are_current(name: str) -> None:
    assert (render_docs.FOLDER / name).read_text() == render_docs.PAGES[name](), "run `make docs`"


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("examples/*/README.md")]:
        named = set(re.findall(r"`make ([a-z0-9-]+)|^make ([a-z0-9-]+)", path.read_text(), re.M))
        assert {a or b for a, b in named} <= targets, path.name


def test_every_variable_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"OCRPLUS_[A-Z_]+[A-Z]", README))
    assert named and named <= known_variables()


def test_every_local_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_benchmark_page_shows_every_result() -> None:
    import results

    page = (ROOT / "benchmarks" / "README.md").read_text()
    assert page == results.rendered(), "run `make docs`"
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        assert set(json.loads(path.read_text())) == {"command", "machine", "date", "metrics"}


def test_the_contract_page_names_every_key() -> None:
    from ocrplus_contract.keys import Keys

    keys, user, task = Keys(), UserId("{user_id}"), TaskId("{task_id}")
    page = (ROOT / "docs" / "contract.md").read_text()
    for key in (
        keys.stream(user),
        keys.events(user),
        keys.last_id(),
        keys.job(user, task),
        keys.jobs(user),
        keys.jobs_open(),
        keys.work(Pool.OCR),
        keys.waiting(Pool.OCR),
        keys.lease(Pool.OCR),
        keys.load(Pool.OCR),
        keys.workers(Pool.OCR),
        keys.drain(Pool.OCR),
        keys.reconciler(),
    ):
        assert f"`{key}`" in page, key
