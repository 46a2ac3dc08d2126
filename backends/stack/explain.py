"""Functions explained as text: `kdash stack explain FILE FUNCTION`."""

from __future__ import annotations

import numpy as np

from kdash.backends.stack.check import Checker, decide_frame_pointer
from kdash.backends.stack.coverage import Coverage
from kdash.backends.stack.facts import Line
from kdash.backends.stack.image import ObjectImage
from kdash.backends.stack.listing import Listing
from kdash.backends.stack.printable import printable
from kdash.backends.stack.program import Program
from kdash.backends.stack.reading import read_object
from kdash.backends.stack.rules import RULES
from kdash.backends.stack.walk import Walk


def explain_function(path: str, name: str) -> str:
    """The disassembly of a function, with the stack state in front of every instruction.

    Raises:
        ObjectError: the file can't be read.
        LookupError: it has no function of that name.
    """
    program = Program(ObjectImage(read_object(path)))
    indexes = [i for i in range(len(program.functions)) if program.functions.name(i) == name]
    if not indexes:
        raise LookupError(f"no function '{name}' in {path}")
    frame_pointer, _ = decide_frame_pointer("auto", program)
    walk = Checker().walk(program, frame_pointer)
    sites = _sites(program, walk)
    return "\n\n".join(_function(program, walk, index, sites) for index in indexes)


def _sites(program: Program, walk: Walk) -> dict[int, list[str]]:
    """Kinds of findings by instruction."""
    sites: dict[int, list[str]] = {}
    found = list(walk.violations) + [
        site.violation for site in Coverage(program, walk.events, walk).sites()
    ]
    for violation in found:
        text = f"{violation.kind}: {violation.message or RULES[violation.kind].message}"
        sites.setdefault(violation.instruction, []).append(text)
    return sites


def _function(program: Program, walk: Walk, index: int, sites: dict[int, list[str]]) -> str:
    functions, code = program.functions, program.code
    bounds = np.array([functions.start[index], functions.end[index]], np.int64)
    first, last = np.searchsorted(code.start, bounds).tolist()
    lines = Listing(walk).span(first, last)
    name = printable(functions.name(index))
    section = code.section_at(int(functions.start[index])).section.name
    text = [f"{name} in {printable(section)}, {int(bounds[1] - bounds[0])} bytes"]
    width = max((len(line.text) for line in lines), default=0)
    previous = ""
    for at, line in enumerate(lines, first):
        text.append(_line(line, int(code.start[at]) - int(bounds[0]), min(width, 48), previous))
        text += [f"         ^ {site}" for site in sites.get(at, [])]
        previous = line.state
    return "\n".join(text)


def _line(line: Line, offset: int, width: int, previous: str) -> str:
    state = line.state or "never reached"
    shown = '"' if state == previous else state
    return f"  {offset:+7x}  {line.text:{width}}  {shown}".rstrip()
