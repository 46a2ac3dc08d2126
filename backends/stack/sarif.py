"""Findings as a SARIF 2.1.0 log, written piece by piece: standard library only.

Names are those of the OASIS standard "Static Analysis Results Interchange Format (SARIF)
Version 2.1.0"; section numbers in this file are its.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from kdash import __version__
from kdash.backends.json_text import json_text
from kdash.backends.stack.facts import CheckOptions, FileReport, Finding, PathStep
from kdash.backends.stack.formats import REMARK, Summary
from kdash.backends.stack.log_messages import OTHER
from kdash.backends.stack.printable import printable
from kdash.backends.stack.rule_examples import BAD_AND_GOOD
from kdash.backends.stack.rules import RULES

VERSION: Final = "2.1.0"
SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
TOOL: Final = "kdash"
#: Names of our fingerprints (3.27.16: a versioned hierarchical string).
FINGERPRINT: Final = "kdash/v1"
CAUSE: Final = "kdash/cause/v1"
#: Changes against an older run, in the standard's words (3.27.24).
BASELINE_STATES: Final = {
    "new": "new",
    "fixed": "absent",
    "moved": "updated",
    "same": "unchanged",
}
#: Words of the text that leads a step of a code flow, by its edge.
_EDGES: Final = {
    "branch": "branch taken to ",
    "call": "behind a call: ",
    "jump-table": "switch table to ",
    "alternative": "alternative: ",
    "jump-label": "jump label to ",
    "exception": "exception table to ",
}


class SarifForm:
    """Writes one log with one run; a form of output as those in `formats`.

    Args:
        options: how the files were validated.
        suppressed: why the user accepts findings, by their fingerprints.
    """

    def __init__(
        self, options: CheckOptions | None = None, suppressed: Mapping[str, str] | None = None
    ) -> None:
        self._options = options or CheckOptions()
        self._suppressed = suppressed or {}
        self._first = True
        self._notifications: list[dict[str, Any]] = []
        self._index = {kind: number for number, kind in enumerate((*RULES, OTHER))}

    def head(self) -> list[str]:
        """The start of the log, with the tool and its rules."""
        driver = {
            "name": TOOL,
            "version": __version__,
            "shortDescription": {"text": "Validates the stack use of x86-64 kernel objects."},
            "rules": [_rule(kind) for kind in self._index],
        }
        return [
            f'{{"$schema": {json.dumps(SCHEMA)}, "version": {json.dumps(VERSION)}, "runs": [{{',
            f'"tool": {json.dumps({"driver": driver})},',
            '"results": [',
        ]

    def of(self, report: FileReport) -> Iterator[str]:
        """The findings of a file, a line each; an unreadable file goes into the tail."""
        if report.error:
            self._notifications.append(_notification(report))
        for finding in report.findings:
            yield ("" if self._first else ",") + json_text(self._result(finding))
            self._first = False

    def tail(self, _summary: Summary, _seconds: float, *, complete: bool) -> list[str]:
        """The end of the log, with what went wrong."""
        invocation: dict[str, Any] = {
            "executionSuccessful": complete and not self._notifications,
            "toolExecutionNotifications": self._notifications,
        }
        if not complete:
            invocation["exitCodeDescription"] = "interrupted: not all files were looked at"
        if overrides := [_override(kind, level) for kind, level in self._options.levels]:
            invocation["ruleConfigurationOverrides"] = overrides
        return ["],", f'"invocations": [{json_text(invocation)}]', "}]}"]

    def _result(self, finding: Finding) -> dict[str, Any]:
        result: dict[str, Any] = {
            "ruleId": finding.kind,
            "ruleIndex": self._index.get(finding.kind, self._index[OTHER]),
            "level": finding.level.value,
            "message": {"text": _message(finding)},
            "locations": [_location(finding)],
        }
        if finding.file:
            result["analysisTarget"] = {"uri": _uri(finding.file)}
        if finding.fingerprint:
            result["fingerprints"] = {FINGERPRINT: finding.fingerprint}
        if finding.cause:
            result["partialFingerprints"] = {CAUSE: finding.cause}
        if (why := self._suppressed.get(finding.fingerprint)) is not None:
            suppression = {
                "kind": "external",
                "status": "accepted",
                "justification": printable(why),
            }
            result["suppressions"] = [suppression]
        if finding.change:
            result["baselineState"] = BASELINE_STATES[finding.change]
        if finding.path:
            steps = [_step(finding, number, step) for number, step in enumerate(finding.path)]
            result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
        if finding.related:
            result["relatedLocations"] = [
                {
                    "id": number,
                    "message": {"text": site.kind},
                    "physicalLocation": _in_object(finding, site.offset),
                }
                for number, site in enumerate(finding.related, 1)
            ]
        result["properties"] = _properties(finding)
        return result


def _rule(kind: str) -> dict[str, Any]:
    """A reporting descriptor (3.49)."""
    if kind not in RULES:
        text = "a message that is none of the catalogue"
        return {"id": kind, "shortDescription": {"text": text}}
    rule = RULES[kind]
    bad, good = BAD_AND_GOOD[kind]
    return {
        "id": kind,
        "shortDescription": {"text": rule.message},
        "fullDescription": {"text": rule.protects},
        "help": {
            "text": f"{rule.respond}\n\nBad:\n{bad}\n\nGood:\n{good}",
            "markdown": f"{rule.respond}\n\nBad:\n\n```\n{bad}\n```\n\nGood:\n\n```\n{good}\n```",
        },
        "defaultConfiguration": {"level": rule.level.value},
        "properties": {"tags": ["stack-validation"]},
    }


def _override(kind: str, level: str) -> dict[str, Any]:
    """A configuration override (3.51): a level that the user chose."""
    off = level == "off"
    configuration: dict[str, Any] = {"enabled": False} if off else {"level": level}
    return {"descriptor": {"id": kind}, "configuration": configuration}


def _notification(report: FileReport) -> dict[str, Any]:
    """A file that could not be validated (3.58)."""
    return {
        "level": "error",
        "message": {"text": printable(f"{report.file}: {report.error}")},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(report.file)}}}],
    }


def _message(finding: Finding) -> str:
    texts = [f"{finding.place}: {finding.message}" if finding.place else finding.message]
    if finding.expected:
        texts.append(f"expected {finding.expected}")
    if finding.found:
        texts.append(f"found {finding.found}")
    if finding.verdict:
        texts.append(finding.verdict)
    return printable("; ".join(texts))


def _location(finding: Finding) -> dict[str, Any]:
    """Where the finding is: the source line, else the place in the object (3.28)."""
    if finding.source is not None:
        physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(finding.source.file)}}
        if finding.source.line > 0:
            physical["region"] = {"startLine": finding.source.line}
    else:
        physical = _in_object(finding, finding.offset if finding.placed else None)
    location: dict[str, Any] = {"physicalLocation": physical}
    if finding.function:
        name = printable(finding.function)
        location["logicalLocations"] = [{"name": name, "kind": "function"}]
    return location


def _in_object(finding: Finding, offset: int | None) -> dict[str, Any]:
    """A place in the object (3.29, 3.32); `offset` counts as the finding's does, if known."""
    section = printable(finding.section)
    address: dict[str, Any] = {}
    if section:
        address |= {"name": section, "kind": "section"}
    if offset is not None:
        place = f"{printable(finding.function) or section}+{offset:#x}"
        address |= {"offsetFromParent": offset, "fullyQualifiedName": place}
        at = finding.address - finding.offset + offset
        if section and finding.placed and at >= 0:
            address["relativeAddress"] = at
    artifact = {"artifactLocation": {"uri": _uri(finding.file)}} if finding.file else {}
    return artifact | {"address": address}


def _step(finding: Finding, number: int, step: PathStep) -> dict[str, Any]:
    """A step of the path (3.38)."""
    lead = _EDGES.get(step.edge, "") if number else ""
    feature = f" ({step.feature})" if step.feature else ""
    properties = {"offset": step.offset, "text": printable(step.text), "edge": step.edge}
    if step.feature:
        properties["feature"] = printable(step.feature)
    return {
        "location": {
            "message": {"text": printable(f"{lead}{step.text}{feature}")},
            "physicalLocation": _in_object(finding, step.offset),
        },
        "kinds": [printable(step.edge)],
        "executionOrder": number + 1,
        "properties": properties,
    }


def _properties(finding: Finding) -> dict[str, Any]:
    """What SARIF has no place for, in the words of the JSON lines."""
    data: dict[str, Any] = {
        "message": printable(finding.message),
        "origin": printable(finding.origin),
    }
    if finding.section:
        data["section"] = printable(finding.section)
    if finding.placed:
        data["offset"] = finding.offset
        if finding.section:
            data["address"] = f"{finding.address:#x}"
    texts = {
        "expected": finding.expected,
        "found": finding.found,
        "callee": finding.callee,
        REMARK: finding.verdict,
        "was": finding.was,
    }
    data |= {key: printable(value) for key, value in texts.items() if value}
    if finding.agrees is not None:
        data["agrees"] = finding.agrees
    return data


def _uri(path: str) -> str:
    """A path as a URI reference (3.10); absolute ones as file URIs."""
    try:
        encoded = quote(os.fsencode(path), safe="/")
    except UnicodeEncodeError:  # a surrogate that no file name can hold; from somebody's JSON
        encoded = quote(printable(path), safe="/")
    return f"file://{encoded}" if path.startswith("/") else encoded
