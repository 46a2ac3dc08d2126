"""SARIF logs read back: ours without loss, those of other tools as far as they say something."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdash.backends.stack.facts import FileReport, Finding, Level, ResultsError
from kdash.backends.stack.sarif_read import sarif_findings
from tests.backends.stack.test_sarif import BARE, FULL, log_of


def read(log: object) -> list[Finding]:
    return list(sarif_findings(json.dumps(log).encode()))


def run_of(*results: dict[str, Any], **run: Any) -> dict[str, Any]:
    tool = {"driver": {"name": "other", "rules": []}}
    return {"version": "2.1.0", "runs": [{"tool": tool, "results": list(results), **run}]}


def test_what_was_written_is_read_back() -> None:
    finding = replace(BARE, cause="1", fingerprint="2")
    assert read(log_of(FileReport("x", (FULL, finding)))) == [FULL, finding]


def test_a_result_of_another_tool_is_understood_by_its_message() -> None:
    message = "stack state mismatch: cfa1=6+16 cfa2=7+8"
    location = {
        "physicalLocation": {
            "artifactLocation": {"uri": "drivers/x.o"},
            "address": {"offsetFromParent": 9, "name": ".text"},
        },
        "logicalLocations": [{"name": "f", "kind": "function"}],
    }
    (finding,) = read(run_of({"message": {"text": message}, "locations": [location]}))
    assert (finding.kind, finding.found) == ("state-mismatch", "CFA is rsp+8")
    assert (finding.file, finding.section, finding.function, finding.offset) == (
        *("drivers/x.o", ".text", "f", 9),
    )
    assert (finding.origin, finding.level) == ("other", Level.WARNING)


def test_level_and_message_may_come_from_the_rule() -> None:
    rule = {
        "id": "R1",
        "defaultConfiguration": {"level": "error"},
        "messageStrings": {"m": {"text": "call to {0}() with UACCESS enabled"}},
    }
    result = {"ruleIndex": 0, "message": {"id": "m", "arguments": ["memset"]}}
    tool = {"driver": {"name": "t", "rules": [rule]}}
    (finding,) = read(run_of(result, tool=tool))
    assert finding.message == "call to memset() with UACCESS enabled"
    assert (finding.kind, finding.callee, finding.level) == ("uaccess", "memset", Level.ERROR)


def test_paths_follow_base_uris_and_artifact_indexes() -> None:
    result = {
        "message": {"text": "m"},
        "analysisTarget": {"index": 0},
        "locations": [
            {"physicalLocation": {
                "artifactLocation": {"uri": "a%20b.c", "uriBaseId": "SRC"},
                "region": {"startLine": 3},
            }}
        ],
    }  # fmt: skip
    bases = {"SRC": {"uri": "src/", "uriBaseId": "ROOT"}, "ROOT": {"uri": "file:///home/x/"}}
    artifacts = [{"location": {"uri": "a.o", "uriBaseId": "ROOT"}}]
    (finding,) = read(run_of(result, originalUriBaseIds=bases, artifacts=artifacts))
    assert finding.file == "/home/x/a.o"
    assert finding.source is not None
    assert (finding.source.file, finding.source.line) == ("/home/x/src/a b.c", 3)


@pytest.mark.parametrize(
    "extra",
    [
        {"kind": "pass"},
        {"level": "none"},
        {"suppressions": [{"kind": "inSource"}]},
    ],
)
def test_what_reports_no_problem_is_left_out(extra: dict[str, Any]) -> None:
    assert read(run_of({"message": {"text": "m"}, **extra})) == []


def test_a_suppression_that_was_rejected_suppresses_nothing() -> None:
    suppressions = [{"kind": "external", "status": "rejected"}]
    assert len(read(run_of({"message": {"text": "m"}, "suppressions": suppressions}))) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no JSON: line 1, column 1"),
        (b'{"version": "2.1.0", "runs": [', "truncated?"),
        (b'{"version": "2.1.0"}', "it has no 'runs'"),
        (b"[]", "it has no 'runs'"),
        (b'{"version": "1.0.0", "runs": []}', "SARIF of version '1.0.0'; 2.1.0 is known"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"runs": ' + b"9" * 5000 + b"}", "no SARIF log: Exceeds the limit"),
        (b'{"version": "2.1.0", "runs": ["\xff\xff"]}', "is no text"),
        (b'{"a": ]', "line 1, column 7"),
    ],
)
def test_what_is_no_sarif_log_is_refused_in_one_line(data: bytes, says: str) -> None:
    with pytest.raises(ResultsError) as raised:
        list(sarif_findings(data))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_path_longer_than_anybody_reads_is_cut() -> None:
    log = log_of(FileReport("x", (FULL,)))
    thread = log["runs"][0]["results"][0]["codeFlows"][0]["threadFlows"][0]
    thread["locations"] *= 2000
    (finding,) = read(log)
    assert len(finding.path) == 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def places(value: object) -> list[tuple[Any, Any]]:
    """Every place in a JSON value that something else can be put to."""
    found: list[tuple[Any, Any]] = []
    keys: Any = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        found.append((value, key))
        found += places(value[key])  # type: ignore[index]
    return found


@settings(max_examples=60)
@given(st.data())
def test_any_value_anywhere_in_a_log_is_survived(data: st.DataObject) -> None:
    log = log_of(FileReport("x", (FULL,)))
    del log["runs"][0]["tool"]["driver"]["rules"][3:]
    for _ in range(data.draw(st.integers(1, 4))):
        container, key = data.draw(st.sampled_from(places(log)))
        container[key] = data.draw(JSON)
    try:
        for finding in sarif_findings(json.dumps(log).encode()):
            assert finding.offset >= 0
    except ResultsError as error:
        assert "\n" not in str(error)


@settings(max_examples=60)
@given(st.integers(0, 5000))
def test_a_log_cut_anywhere_is_refused_or_whole(end: int) -> None:
    text = json.dumps(log_of(FileReport("x", (FULL,))))
    cut = text[: -end or None]
    try:
        assert len(list(sarif_findings(cut.encode()))) == 1
    except ResultsError as error:
        assert "no JSON" in str(error)
