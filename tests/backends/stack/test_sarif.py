"""Findings as a SARIF log, held against the schema of the standard."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from kdash.backends.stack.facts import (
    CheckOptions,
    FileReport,
    Finding,
    Level,
    PathStep,
    Related,
    SourceLine,
)
from kdash.backends.stack.formats import Summary
from kdash.backends.stack.rules import RULES
from kdash.backends.stack.sarif import SarifForm

FULL = Finding(
    "drivers/a file.o",
    ".text",
    "x_probe",
    29,
    0x4D,
    "call-without-frame",
    Level.ERROR,
    "call without frame pointer save/setup",
    "CFA is rbp+16, rbp saved at CFA-16",
    "CFA is rsp+8",
    "kmalloc",
    SourceLine("drivers/x.c", 120),
    "5f1c",
    (PathStep(0, "push rbx", "fallthrough"), PathStep(4, "nop", "alternative", "X86_FEATURE_SMAP")),
    (Related("unreachable", 40),),
    fingerprint="00ff",
)
BARE = Finding("/a/b.o", ".text", "", 2, 2, "return-outside", Level.WARNING, "return outside")


@cache
def validator() -> jsonschema.Draft4Validator:
    (path,) = (Path(__file__).parent / "sarif").glob("*.json")
    return jsonschema.Draft4Validator(json.loads(path.read_text()))


def log_of(
    *reports: FileReport, options: CheckOptions | None = None, complete: bool = True
) -> dict[str, Any]:
    """The log of these reports, valid by the schema."""
    form = SarifForm(options)
    lines = [*form.head()]
    for report in reports:
        lines += form.of(report)
    lines += form.tail(Summary(), 0.1, complete=complete)
    log: dict[str, Any] = json.loads("\n".join(lines))
    validator().validate(log)
    return log


def result_of(finding: Finding) -> dict[str, Any]:
    result: dict[str, Any] = log_of(FileReport(finding.file, (finding,)))["runs"][0]["results"][0]
    return result


def test_a_result_points_at_the_source_line_and_names_its_object() -> None:
    result = result_of(FULL)
    physical = result["locations"][0]["physicalLocation"]
    assert physical == {
        "artifactLocation": {"uri": "drivers/x.c"},
        "region": {"startLine": 120},
    }
    assert result["analysisTarget"]["uri"] == "drivers/a%20file.o"
    assert result["locations"][0]["logicalLocations"][0]["name"] == "x_probe"


def test_without_a_source_line_it_points_into_the_object() -> None:
    physical = result_of(BARE)["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "file:///a/b.o"
    assert physical["address"]["fullyQualifiedName"] == ".text+0x2"
    assert physical["address"]["relativeAddress"] == 2


def test_the_path_is_a_code_flow_that_names_edges_and_features() -> None:
    (flow,) = result_of(FULL)["codeFlows"]
    first, second = flow["threadFlows"][0]["locations"]
    assert first["location"]["message"]["text"] == "push rbx"
    assert second["kinds"] == ["alternative"]
    assert second["location"]["message"]["text"] == "alternative: nop (X86_FEATURE_SMAP)"
    # The finding is at +29 of the function and at 0x4d of the section.
    assert second["location"]["physicalLocation"]["address"]["relativeAddress"] == 0x4D - 29 + 4


def test_fingerprint_cause_and_related_sites_are_in_their_places() -> None:
    result = result_of(FULL)
    assert result["fingerprints"] == {"kdash/v1": "00ff"}
    assert result["partialFingerprints"] == {"kdash/cause/v1": "5f1c"}
    (related,) = result["relatedLocations"]
    assert related["message"]["text"] == "unreachable"
    assert related["physicalLocation"]["address"]["fullyQualifiedName"] == "x_probe+0x28"


def test_every_rule_is_described_with_its_level_help_and_examples() -> None:
    rules = log_of()["runs"][0]["tool"]["driver"]["rules"]
    described = {rule["id"]: rule for rule in rules}
    assert set(RULES) <= set(described)
    for kind, rule in RULES.items():
        assert described[kind]["defaultConfiguration"]["level"] == rule.level.value
        assert rule.respond in described[kind]["help"]["markdown"]
        assert "Bad:" in described[kind]["help"]["text"]


def test_the_index_of_a_result_leads_to_its_rule_also_for_unknown_messages() -> None:
    unknown = replace(BARE, kind="other")
    run = log_of(FileReport("a.o", (FULL, unknown)))["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[one["ruleIndex"]]["id"] for one in run["results"]] == [FULL.kind, "other"]


def test_levels_that_the_user_chose_are_overrides() -> None:
    options = CheckOptions(levels=(("unreachable", "off"), ("ibt", "warning")))
    (invocation,) = log_of(options=options)["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is True
    assert [one["configuration"] for one in invocation["ruleConfigurationOverrides"]] == [
        {"enabled": False}, {"level": "warning"},
    ]  # fmt: skip


def test_an_unreadable_file_is_a_notification() -> None:
    (invocation,) = log_of(FileReport("x\x1b.o", error="truncated"))["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification["message"]["text"] == "x\\x1b.o: truncated"


def test_a_log_that_was_ended_early_is_whole_and_says_so() -> None:
    log = log_of(FileReport("a.o", (BARE,)), complete=False)
    assert len(log["runs"][0]["results"]) == 1
    assert "interrupted" in log["runs"][0]["invocations"][0]["exitCodeDescription"]


TEXTS = st.text(st.characters(exclude_categories=()), max_size=12)
FINDINGS = st.builds(
    Finding,
    *(TEXTS, TEXTS, TEXTS, st.integers(0, 1 << 40), st.integers(0, 1 << 40)),
    *(st.sampled_from([*RULES, "other"]), st.sampled_from(Level), TEXTS),
    source=st.none() | st.builds(SourceLine, TEXTS, st.integers(0, 1 << 31)),
    path=st.lists(st.builds(PathStep, st.integers(), TEXTS, TEXTS, TEXTS), max_size=3).map(tuple),
    related=st.lists(st.builds(Related, TEXTS, st.integers()), max_size=2).map(tuple),
    agrees=st.none() | st.booleans(),
    verdict=TEXTS,
    fingerprint=TEXTS,
)


@settings(max_examples=60)
@given(st.lists(FINDINGS, max_size=2))
def test_whatever_names_and_texts_hold_the_log_is_valid(findings: list[Finding]) -> None:
    log_of(FileReport("x.o", tuple(findings)))
