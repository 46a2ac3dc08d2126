"""Findings read from a SARIF 2.1.0 log, ours or another tool's; standard library only.

Section numbers are those of the OASIS standard, as in `sarif`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

from kdash.backends.stack.causes import cause_of
from kdash.backends.stack.facts import (
    Finding,
    Level,
    PathStep,
    Related,
    ResultsError,
    SourceLine,
)
from kdash.backends.stack.fingerprints import fingerprint
from kdash.backends.stack.formats import REMARK
from kdash.backends.stack.log_messages import OTHER, meaning
from kdash.backends.stack.rules import RULES
from kdash.backends.stack.sarif import BASELINE_STATES, CAUSE, FINGERPRINT, VERSION
from kdash.backends.stack.untrusted import few, flag, mapping, number, sequence, text

_OBJECTS: Final = (".o", ".ko", ".a", ".gz", ".xz", ".zst", ")")
_MOST_NESTED: Final = 8  # base URIs that refer to base URIs
#: Result kinds that are no problem (3.27.9).
_FINE: Final = ("pass", "notApplicable", "informational")
_CHANGES: Final = {state: change for change, state in BASELINE_STATES.items()}


def sarif_findings(data: bytes) -> Iterator[Finding]:
    """The results of all runs of a log, without those that passed or are suppressed.

    Raises:
        ResultsError: it is no SARIF log, or a damaged one.
    """
    try:
        log = json.loads(data)
    except UnicodeDecodeError as error:
        raise ResultsError(f"no JSON: byte {error.start} is no text") from None
    except json.JSONDecodeError as error:
        cut = "; truncated?" if error.pos >= len(error.doc.rstrip()) else ""
        place = f"line {error.lineno}, column {error.colno}"
        raise ResultsError(f"no JSON: {place}: {error.msg.lower()}{cut}") from None
    except RecursionError:
        raise ResultsError("no SARIF log: nested too deeply") from None
    except ValueError as error:  # a number of more digits than Python reads
        raise ResultsError(f"no SARIF log: {error}") from None
    if not isinstance(log, dict) or not isinstance(log.get("runs"), list):
        raise ResultsError("no SARIF log: it has no 'runs'")
    if (version := text(log.get("version"))) != VERSION:
        raise ResultsError(f"SARIF of version '{version}'; {VERSION} is known")
    for run in log["runs"]:
        reader = _Run(mapping(run))
        for result in sequence(mapping(run).get("results")):
            finding = reader.finding(mapping(result))
            if finding is not None:
                yield finding


class _Run:
    """What the results of one run refer to."""

    def __init__(self, run: dict[str, Any]) -> None:
        driver = mapping(mapping(run.get("tool")).get("driver"))
        self._tool = text(driver.get("name")) or "SARIF"
        self._rules = [mapping(rule) for rule in sequence(driver.get("rules"))]
        self._by_id = {text(rule.get("id")): rule for rule in self._rules}
        self._artifacts = [mapping(one) for one in sequence(run.get("artifacts"))]
        self._bases = mapping(run.get("originalUriBaseIds"))

    def finding(self, result: dict[str, Any]) -> Finding | None:
        """A result (3.27) as a finding; None where it reports no problem."""
        if result.get("kind") in _FINE or _suppressed(result):
            return None
        rule = self._rule(result)
        ours = mapping(result.get("properties"))
        location = mapping(next(iter(sequence(result.get("locations"))), None))
        physical = mapping(location.get("physicalLocation"))
        address = mapping(physical.get("address"))
        where = self._path(mapping(physical.get("artifactLocation")))
        file = self._path(mapping(result.get("analysisTarget"))) or where
        said = text(ours.get("message")) or _message(mapping(result.get("message")), rule)
        understood = meaning(said)
        kind = text(result.get("ruleId")) or text(rule.get("id"))
        kind = kind if kind in RULES else understood.kind
        function = _function(location)
        section = text(ours.get("section")) or text(address.get("name"))
        offset = number(ours.get("offset"), number(address.get("offsetFromParent"), -1))
        placed, offset = offset >= 0, max(offset, 0)
        cause = text(mapping(result.get("partialFingerprints")).get(CAUSE))
        known = text(mapping(result.get("fingerprints")).get(FINGERPRINT))
        level = self._level(result, rule)
        line = number(mapping(physical.get("region")).get("startLine"))
        return None if level is None else Finding(
            file,
            section,
            function,
            offset,
            number(ours.get("address"), number(address.get("relativeAddress"), offset)),
            kind,
            level,
            said,
            text(ours.get("expected")) or understood.expected,
            text(ours.get("found")) or understood.found,
            text(ours.get("callee")) or understood.callee,
            SourceLine(where, line) if line and not where.endswith(_OBJECTS) else None,
            cause or cause_of(kind, function or section or said),
            _path_steps(result),
            _related(result),
            text(ours.get("origin")) or self._tool,
            agrees=flag(ours.get("agrees")),
            verdict=text(ours.get(REMARK)),
            fingerprint=known or fingerprint(kind, function or section or where, (said,)),
            change=_CHANGES.get(text(result.get("baselineState")), ""),
            was=text(ours.get("was")),
            placed=placed,
        )  # fmt: skip

    def _rule(self, result: dict[str, Any]) -> dict[str, Any]:
        at = result.get("ruleIndex")
        if isinstance(at, int) and 0 <= at < len(self._rules):
            return self._rules[at]
        return self._by_id.get(text(result.get("ruleId")), {})

    def _level(self, result: dict[str, Any], rule: dict[str, Any]) -> Level | None:
        """The level (3.27.10): the result's own, else the rule's, else warning."""
        default = text(mapping(rule.get("defaultConfiguration")).get("level"))
        name = text(result.get("level")) or default or "warning"
        if name == "none":
            return None
        return Level.ERROR if name == "error" else Level.WARNING

    def _path(self, location: dict[str, Any]) -> str:
        """The path that an artifact location means (3.4)."""
        at = location.get("index")
        if "uri" not in location and isinstance(at, int) and 0 <= at < len(self._artifacts):
            location = mapping(self._artifacts[at].get("location"))
        uri, base = text(location.get("uri")), text(location.get("uriBaseId"))
        path = _unquoted(uri)
        for _ in range(_MOST_NESTED):
            if not base or path.startswith("/"):
                break
            above = mapping(self._bases.get(base))
            path = os.path.join(_unquoted(text(above.get("uri"))), path)
            base = text(above.get("uriBaseId"))
        return path


def _unquoted(uri: str) -> str:
    """A file URI or a relative reference as a path."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    if parts.scheme not in ("", "file"):
        return uri
    return os.fsdecode(unquote_to_bytes(parts.path))


def _suppressed(result: dict[str, Any]) -> bool:
    """Whether somebody accepted a suppression (3.27.23, 3.35.3)."""
    states = [
        mapping(one).get("status", "accepted") for one in sequence(result.get("suppressions"))
    ]
    return bool(states) and all(state == "accepted" for state in states)


def _message(message: dict[str, Any], rule: dict[str, Any]) -> str:
    """The text of a message (3.11), which the rule may hold."""
    given = text(message.get("text")) or text(message.get("markdown"))
    if not given:
        strings = mapping(rule.get("messageStrings"))
        given = text(mapping(strings.get(text(message.get("id")))).get("text"))
    for at, argument in enumerate(sequence(message.get("arguments"))[:16]):
        given = given.replace(f"{{{at}}}", text(argument))
    return text(given) or text(mapping(rule.get("shortDescription")).get("text")) or OTHER


def _function(location: dict[str, Any]) -> str:
    """The function that a location is in (3.28.4)."""
    for one in map(mapping, sequence(location.get("logicalLocations"))):
        if text(one.get("kind")) in ("function", ""):
            return text(one.get("name")) or text(one.get("fullyQualifiedName"))
    return ""


def _path_steps(result: dict[str, Any]) -> tuple[PathStep, ...]:
    """The first code flow (3.36) as a path."""
    flow = mapping(next(iter(sequence(result.get("codeFlows"))), None))
    thread = mapping(next(iter(sequence(flow.get("threadFlows"))), None))
    return tuple(_step(mapping(one)) for one in few(thread.get("locations")))


def _step(step: dict[str, Any]) -> PathStep:
    ours = mapping(step.get("properties"))
    location = mapping(step.get("location"))
    address = mapping(mapping(location.get("physicalLocation")).get("address"))
    said = text(mapping(location.get("message")).get("text"))
    kinds = [text(kind) for kind in sequence(step.get("kinds"))]
    return PathStep(
        number(ours.get("offset"), number(address.get("offsetFromParent"))),
        text(ours.get("text")) or said,
        text(ours.get("edge")) or next(iter(kinds), "fallthrough"),
        text(ours.get("feature")),
    )


def _related(result: dict[str, Any]) -> tuple[Related, ...]:
    """Related locations (3.27.22) that lie in the object."""
    found = []
    for one in map(mapping, few(result.get("relatedLocations"))):
        address = mapping(mapping(one.get("physicalLocation")).get("address"))
        if "offsetFromParent" in address:
            said = text(mapping(one.get("message")).get("text"))
            found.append(Related(said, number(address["offsetFromParent"])))
    return tuple(found)
