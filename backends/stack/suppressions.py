"""Findings silenced by the kernel's own annotations, each with its reason.

STACK_FRAME_NON_STANDARD and the ANNOTATE_ macros: include/linux/objtool.h and
arch/x86/include/asm/nospec-branch.h (6.1); OBJECT_FILES_NON_STANDARD: scripts/Makefile.lib (6.1);
noreturn functions: tools/objtool/noreturns.h (6.4 and later).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Final

from kdash.backends.stack.facts import Finding
from kdash.backends.stack.fingerprints import base_function
from kdash.backends.stack.printable import printable

#: Kinds that an annotation of one instruction silences, without hiding the function.
_BY_INSTRUCTION: Final = {
    "retpoline": "ANNOTATE_RETPOLINE_SAFE",
    "rethunk": "ANNOTATE_UNRET_SAFE",
    "ibt": "ANNOTATE_NOENDBR",
    "no-call-dest": "ANNOTATE_INTRA_FUNCTION_CALL",
}
_HEAD: Final = """\
# {count}, silenced by the kernel's own annotations.
#
# STACK_FRAME_NON_STANDARD hides a function from objtool, OBJECT_FILES_NON_STANDARD a whole object:
# there is no unwind data for it then, and reliable stack traces end there. An ANNOTATE_ macro
# stands before the one instruction that it is about. Mend what can be mended first.
"""
_INCLUDES: Final = "needs #include <linux/objtool.h>"


def annotations_for(findings: Iterable[Finding], notes: Mapping[str, str] | None = None) -> str:
    """What silences findings, by the file it belongs into.

    Args:
        findings: to silence.
        notes: why, by fingerprint; a finding without one gets its kind and place alone.
    """
    places: dict[str, dict[str, list[str]]] = {}
    count = 0
    for finding in findings:
        count += 1
        place, line = _annotation(finding)
        note = (notes or {}).get(finding.fingerprint, "")
        where = f"{'' if finding.function else finding.section}+{finding.offset:#x}"
        reason = f"{finding.kind} at {where}" + (f": {note}" if note else "")
        places.setdefault(place, {}).setdefault(line, []).append(reason)
    told = "1 finding" if count == 1 else f"{count} findings"
    parts = [_HEAD.format(count=told)]
    for place, lines in sorted(places.items()):
        parts.append(f"\n--- {printable(place)}\n")
        comment = "#" if place.endswith("Makefile") or "noreturns" in place else "//"
        parts += [
            f"{printable(line)}  {comment} {_one_line('; '.join(dict.fromkeys(reasons)))}\n"
            for line, reasons in lines.items()
        ]
    return "".join(parts)


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _annotation(finding: Finding) -> tuple[str, str]:
    """The file that an annotation belongs into, and its line."""
    source = finding.source.file if finding.source else ""
    assembly = source.endswith((".S", ".s"))
    if finding.kind == "missing-noreturn" and finding.callee:
        return "tools/objtool/noreturns.h", f"NORETURN({finding.callee})"
    macro = _BY_INSTRUCTION.get(finding.kind)
    if macro and source and finding.source:
        line = macro if assembly else f"asm volatile({macro});"
        return f"{source}:{finding.source.line}, before the instruction", line
    name = base_function(finding.function)
    if name and (source or finding.function):
        place = f"{source or f'the source of {finding.file}'}, {_INCLUDES}"
        if assembly:
            return place, f"STACK_FRAME_NON_STANDARD {name}"
        return place, f"STACK_FRAME_NON_STANDARD({name});"
    folder, object_name = os.path.split(finding.file)
    stem = object_name.partition(".")[0]
    return os.path.join(folder, "Makefile"), f"OBJECT_FILES_NON_STANDARD_{stem}.o := y"
