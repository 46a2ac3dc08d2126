"""What the Stack pane writes of the findings it shows, as SARIF."""

from __future__ import annotations

import json
from pathlib import Path

from kdash.backends.stack.facts import Verdict
from kdash.backends.stack.sarif_read import sarif_findings
from kdash.panes.stack_export import export
from kdash.widgets.stack.entry import Entry
from tests.backends.stack.test_sarif import BARE, FULL, validator
from tests.widgets.stack.made import report


def test_accepted_findings_are_suppressed_in_sarif(tmp_path: Path) -> None:
    verdict = Verdict(FULL.fingerprint, "false-positive", "inline assembly")
    rows = [Entry(report(FULL), FULL, verdict), Entry(report(BARE), BARE)]
    path = tmp_path / "shown.sarif"
    assert export(rows, [str(path)]) == f"2 findings written to {path} as sarif"
    data = path.read_bytes()
    log = json.loads(data)
    validator().validate(log)
    (suppression,) = log["runs"][0]["results"][0]["suppressions"]
    assert suppression["justification"] == "false-positive: inline assembly"
    assert [one.kind for one in sarif_findings(data)] == [BARE.kind]
