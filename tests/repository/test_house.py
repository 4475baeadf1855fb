"""The house keeps its own rules."""

import ast
import re
import subprocess
from pathlib import Path

import lock
import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("contract/src", "services", "local/src", "operator")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


FILES = tracked()
MODULES = [path for path in FILES if path.suffix == ".py"]
PRODUCT_MODULES = [p for p in MODULES if str(p.relative_to(ROOT)).startswith(PRODUCT)]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_package_shadows_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert [name(p) for p in MODULES if p.name == "__init__.py" and "tests" in p.parts] == []


def test_no_module_is_a_drawer_of_odds_and_ends() -> None:
    drawers = {"util.py", "utils.py", "common.py", "helpers.py", "misc.py"}
    assert [name(p) for p in FILES if p.name in drawers or "utils" in p.parts] == []


@pytest.mark.parametrize("path", PRODUCT_MODULES, ids=name)
def test_a_module_states_its_purpose_and_stays_small(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)

    assert ast.get_docstring(tree), "no module docstring"
    assert text.count("\n") <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 80, node.name


def test_no_file_holds_a_path_of_one_machine_or_a_registry() -> None:
    own = re.compile(r"(?<![\w.])/(?:work|root|home|farm)/\w|pypi\.org|pythonhosted|deb\.debian")
    found = [
        name(p)
        for p in FILES
        if p.suffix in {".py", ".md", ".toml", ".txt", ".yaml", ".json", ".lua", ".sh"}
        and p != Path(__file__)
        and own.search(p.read_text("utf-8", "replace"))
    ]
    assert found == []


def test_no_work_stream_entry_is_ever_deleted() -> None:
    scripts = [p for p in FILES if p.suffix == ".lua"]
    assert len(scripts) > 10
    assert [name(p) for p in scripts if "XDEL" in p.read_text()] == []


def test_every_script_states_arguments_result_and_invariant() -> None:
    for path in (ROOT / "contract/src/ocrplus_contract/scripts").glob("*.lua"):
        header = path.read_text().split("\nlocal ")[0]
        for part in ("-- include:", "-- ARGV", "-- RESULT", "-- INVARIANT"):
            assert part in header, f"{path.name} lacks {part}"


def test_constraints_say_what_they_pin() -> None:
    files = sorted((ROOT / "constraints").glob("*.txt"))
    assert len(files) == 10
    for path in files:
        lines = path.read_text().splitlines()
        assert lines[0].startswith("# Pins of ocrplus["), path.name
        assert lock.OLD_PYTHON in lines, path.name
        assert all("==" in line for line in lines[1:] if not line.startswith("#")), path.name
