import json
from pathlib import Path

import e2e_node
import pytest
import results


def test_a_group_is_replaced_wholly_and_says_where_it_is_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "_FOLDER", tmp_path)
    results.write("cluster", {"deaths": {"lost": 3, "old": 1}, "keda": {"measured": "before"}})
    figures = tmp_path / "figures"
    lines: list[dict[str, object]] = [{"deaths": {"lost": 0}}, {"deaths": {"documents": 61}}]
    figures.write_text("".join(json.dumps(line) + "\n" for line in lines))

    e2e_node.keep(figures, "images dev of 0123456789")

    found = results.read("cluster")
    assert found["keda"] == {"measured": "before"}
    origin = found["deaths"].pop("measured")
    assert origin.endswith("images dev of 0123456789") and " UTC, `python " in origin
    assert found["deaths"] == {"lost": 0, "documents": 61}
