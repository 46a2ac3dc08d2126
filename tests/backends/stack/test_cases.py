"""The reference cases: each must give exactly what the rules demand."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions

CASES = Path(__file__).parent / "cases"
EXPECTED: dict[str, Any] = json.loads((CASES / "expected.json").read_text())


@pytest.mark.gcc
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_reference_case_gives_what_the_rules_demand_and_nothing_more(
    name: str, tmp_path: Path
) -> None:
    case = EXPECTED[name]
    target = tmp_path / f"{name}.o"
    subprocess.run(["gcc", "-c", str(CASES / case["source"]), "-o", str(target)], check=True)
    options = CheckOptions(frame_pointer="on" if case["mode"] == "fp" else "off")
    report = Checker(options).check(str(target))
    assert not report.error
    found = [
        {"where": f.function or f.section, "offset": f.offset, "kind": f.kind}
        for f in report.findings
    ]
    expected = case["expected_by_rules"]
    assert len(found) == len(expected)
    for got, wanted in zip(found, expected, strict=True):
        assert {key: got[key] for key in wanted} == wanted
