"""JSON lines of an earlier run read back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.stack.facts import FileReport, Finding, ResultsError
from kdash.backends.stack.formats import Summary, json_error_line, json_line
from kdash.backends.stack.json_results import json_findings
from tests.backends.stack.test_sarif import FULL


def test_what_was_printed_is_read_back() -> None:
    broken = FileReport("y.o", error="truncated")
    lines = [json_line(FULL), "", json_error_line(broken), Summary().json_line(0.1)]
    assert list(json_findings(lines)) == [FULL, broken]


def test_a_finding_without_a_fingerprint_gets_one_by_kind_place_and_message() -> None:
    data = json.loads(json_line(FULL))
    del data["fingerprint"]
    twice = [*json_findings([json.dumps(data), json.dumps(data | {"offset": 3})])]
    first, second = (one for one in twice if isinstance(one, Finding))
    assert first.fingerprint == second.fingerprint != ""


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"file": "x.o", "kin', "line 2 is no JSON; truncated?"),
        ("[1]", "line 2 is no finding: it holds no object"),
        ('{"file": "x.o"}', "it has no 'kind'"),
        ('{"file": 1, "kind": "k", "level": "error", "message": ""}', "it has no 'file'"),
        ('{"file": "", "kind": "", "level": "loud", "message": ""}', "level 'loud' is neither"),
        ("[" * 100_000, "line 2 is no JSON"),
    ],
)
def test_a_line_that_is_no_finding_is_named_after_those_before_it(line: str, says: str) -> None:
    found = json_findings([json_line(FULL), line])
    assert next(found) == FULL
    with pytest.raises(ResultsError, match=says.replace("[", "\\[").replace("?", "\\?")):
        next(found)


@given(st.text(max_size=30) | st.dictionaries(st.text(), st.integers()).map(json.dumps))
def test_any_line_is_a_finding_or_refused(line: str) -> None:
    try:
        list(json_findings([line]))
    except ResultsError as error:
        assert "\n" not in str(error)
