"""File reports as lines of JSON, for the pipe between the app and its workers.

Only the standard library: the app imports this. Names may hold bytes that are no UTF-8; they
travel as the surrogates that `surrogateescape` made of them.
"""

from __future__ import annotations

import json
from typing import Any

from kdash.backends.stack.facts import (
    CheckOptions,
    FileReport,
    Finding,
    Level,
    Line,
    PathStep,
    Related,
    SourceLine,
)

NO_CACHE = "--no-cache"  # argument of a worker that keeps no reports


class WireError(ValueError):
    """A line that no worker wrote."""


def encode(report: FileReport) -> str:
    """A report as one line of ASCII, without the newline."""
    data = {
        "file": report.file,
        "findings": [_finding(finding) for finding in report.findings],
        "error": report.error,
        "frame_pointer": report.frame_pointer,
        "frame_pointer_reason": report.frame_pointer_reason,
        "functions": report.functions,
        "instructions": report.instructions,
        "seconds": report.seconds,
        "left_out": report.left_out,
        "sample": report.sample,
    }
    return json.dumps(data, separators=(",", ":"))


def decode(line: str) -> FileReport:
    """The report that a line holds.

    Raises:
        WireError: the line is none.
    """
    try:
        data = json.loads(line)
        findings = tuple(_read_finding(entry) for entry in data.pop("findings"))
        return FileReport(findings=findings, **data)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WireError(f"not a report: {line[:80]!r}") from error


def _finding(finding: Finding) -> dict[str, Any]:
    source = finding.source
    return {
        "file": finding.file,
        "section": finding.section,
        "function": finding.function,
        "offset": finding.offset,
        "address": finding.address,
        "kind": finding.kind,
        "level": finding.level.value,
        "message": finding.message,
        "expected": finding.expected,
        "found": finding.found,
        "callee": finding.callee,
        "source": [source.file, source.line, source.directory] if source else None,
        "cause": finding.cause,
        "path": [[step.offset, step.text, step.edge, step.feature] for step in finding.path],
        "related": [[site.kind, site.offset] for site in finding.related],
        "origin": finding.origin,
        "disassembly": [line_as_list(line) for line in finding.disassembly],
        "agrees": finding.agrees,
        "verdict": finding.verdict,
        "ours": [[site.kind, site.offset] for site in finding.ours],
        "fingerprint": finding.fingerprint,
        "change": finding.change,
        "was": finding.was,
        "placed": finding.placed,
    }


def _read_finding(data: dict[str, Any]) -> Finding:
    data["level"] = Level(data["level"])
    data["source"] = SourceLine(*data["source"]) if data["source"] else None
    data["path"] = tuple(PathStep(*step) for step in data["path"])
    data["related"] = tuple(Related(*site) for site in data["related"])
    data["ours"] = tuple(Related(*site) for site in data["ours"])
    data["disassembly"] = tuple(map(line_of_list, data["disassembly"]))
    return Finding(**data)


def line_as_list(line: Line) -> list[Any]:
    """A line of disassembly as JSON can hold it."""
    # Without the directory, which the finding tells once.
    source = [[line.source.file, line.source.line]] if line.source else []
    return [line.offset, line.code.hex(), line.text, line.site, line.state, line.symbol, *source]


def line_of_list(data: list[Any]) -> Line:
    """The line of disassembly that a list is of."""
    offset, code, text, site, state, symbol, *source = data
    begins = SourceLine(*source[0]) if source else None
    return Line(offset, bytes.fromhex(code), text, site, state, symbol, begins)


def encode_request(path: str, options: CheckOptions, *, sample: bool = False) -> str:
    """A request to validate one file, as one line of ASCII without the newline."""
    data = {
        "path": path,
        "sample": sample,
        "frame_pointer": options.frame_pointer,
        "noreturn": list(options.noreturn),
        "levels": [list(pair) for pair in options.levels],
        "builds": list(options.builds),
        "uaccess": options.uaccess,
    }
    return json.dumps(data, separators=(",", ":"))


def decode_request(line: str) -> tuple[str, CheckOptions, bool]:
    """Path, options and whether it is a bundled sample.

    Raises:
        WireError: the line is no request.
    """
    try:
        data = json.loads(line)
        options = CheckOptions(
            data["frame_pointer"],
            tuple(data["noreturn"]),
            tuple((kind, level) for kind, level in data["levels"]),
            tuple(data["builds"]),
            bool(data["uaccess"]),
        )
        return str(data["path"]), options, bool(data["sample"])
    except (ValueError, TypeError, KeyError) as error:
        raise WireError(f"not a request: {line[:80]!r}") from error
