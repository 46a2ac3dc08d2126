"""`kdash doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from kdash.commands.argument_parser import Parser
from kdash.doctor import Probe, Section, examine, works
from kdash.exit_status import ExitStatus

EPILOG = """\
example:
  kdash doctor --format json | jq '.sections[].probes[] | select(.verdict != "ok")'

Exit status: 0 when all three panes can do their main job, else 3.
"""
MARKS = {"ok": "ok", "warning": "note", "failed": "FAIL"}


def run(argv: list[str]) -> int:
    """Print every probe and return the exit status."""
    arguments = doctor_parser().parse_args(argv)
    sections = examine()
    if arguments.format == "json":
        sys.stdout.write(json.dumps(as_json(sections)) + "\n")
    else:
        sys.stdout.write(as_text(sections))
    return ExitStatus.OK if works(sections) else ExitStatus.ENVIRONMENT


def doctor_parser() -> Parser:
    """`kdash doctor`."""
    return Parser(
        "doctor",
        "Probe KVM, the validator, the entropy signals and the terminal.",
        EPILOG,
        formats=True,
    )


def as_json(sections: tuple[Section, ...]) -> dict[str, Any]:
    """The object `--format json` prints; empty remedies are left out."""
    return {
        "works": works(sections),
        "sections": [
            {
                "name": section.title,
                "works": section.works,
                "probes": [_probe_json(probe) for probe in section.probes],
            }
            for section in sections
        ],
    }


def _probe_json(probe: Probe) -> dict[str, str]:
    fields = asdict(probe)  # type: ignore[call-overload]
    return {key: fields[key] for key in ("name", "verdict", "detail", "remedy") if fields[key]}


def as_text(sections: tuple[Section, ...]) -> str:
    """The aligned text a person reads; a remedy stands below what it mends."""
    width = max(len(probe.name) for section in sections for probe in section.probes)
    lines: list[str] = []
    for section in sections:
        lines.append(section.title)
        for probe in section.probes:
            lines.append(f"  {MARKS[probe.verdict]:<4}  {probe.name:<{width}}  {probe.detail}")
            if probe.remedy:
                lines.append(f"  {'':<4}  {'':<{width}}  -> {probe.remedy}")
    verdict = "all three panes work here" if works(sections) else "not every pane works here"
    return "\n".join([*lines, "", verdict, ""])
