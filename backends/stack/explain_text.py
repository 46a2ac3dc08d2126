"""Explained functions as text and as JSON: `kdash stack explain FILE FUNCTION`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kdash.backends.json_text import json_text
from kdash.backends.stack.facts import Finding
from kdash.backends.stack.formats import json_line
from kdash.backends.stack.printable import printable

if TYPE_CHECKING:
    from kdash.backends.stack.explain import Outline, Part, Step

WIDEST = 48  # cells of an instruction before its state
INDENT = " " * 11


def text_of(parts: Iterable[Part]) -> str:
    """The disassembly, with the stack state in front of every instruction and the findings."""
    return "\n\n".join(map(_part, parts))


def json_of(parts: Iterable[Part]) -> str:
    """One object a line for each part; states are absent where no path leads."""
    return "\n".join(json_text(_object(part)) for part in parts)


def text_of_functions(functions: Iterable[Outline]) -> str:
    """A line a function: size, findings, name."""
    lines = ["   bytes findings  function"]
    for one in functions:
        section = f"  ({one.section})" if one.section != ".text" else ""
        count = str(one.findings or "")
        lines.append(printable(f"{one.size:8} {count:>8}  {one.name}{section}"))
    return "\n".join(lines)


def json_of_functions(functions: Iterable[Outline]) -> str:
    """One object a line for each function."""
    return "\n".join(
        json_text(
            {
                "function": one.name,
                "section": one.section,
                "bytes": one.size,
                "findings": one.findings,
            }
        )
        for one in functions
    )


def _part(part: Part) -> str:
    text = [printable(f"{part.name} in {part.section}, {part.size} bytes")]
    width = min(WIDEST, max((len(step.line.text) for step in part.steps), default=0))
    state = source = ""
    for step in part.steps:
        if step.source and (place := f"{step.source.file}:{step.source.line}") != source:
            text.append(printable(f"  {place}"))
            source = place
        text.append(_line(step, width, state))
        state = step.line.state
        for finding in step.findings:
            text += _finding(finding)
    return "\n".join(text)


def _line(step: Step, width: int, previous: str) -> str:
    state = step.line.state or "never reached"
    shown = '"' if state == previous else state
    return f"  {step.offset:+7x}  {printable(step.line.text):{width}}  {shown}".rstrip()


def _finding(finding: Finding) -> list[str]:
    lines = [f"{INDENT}^ {finding.level.value}: {finding.kind}: {finding.message}"]
    if finding.expected:
        lines.append(f"{INDENT}  expected {finding.expected}")
    if finding.found:
        lines.append(f"{INDENT}  found    {finding.found}")
    return [printable(line) for line in lines]


def _object(part: Part) -> dict[str, Any]:
    return {
        "function": part.name,
        "section": part.section,
        "bytes": part.size,
        "instructions": [_instruction(step) for step in part.steps],
    }


def _instruction(step: Step) -> dict[str, Any]:
    data: dict[str, Any] = {
        "offset": step.offset,
        "code": step.line.code.hex(),
        "text": step.line.text,
    }
    if step.line.state:
        data["state"] = step.line.state
    if step.source:
        data["source"] = {"file": step.source.file, "line": step.source.line}
    if step.findings:
        data["findings"] = [json.loads(json_line(one)) for one in step.findings]
    return data
