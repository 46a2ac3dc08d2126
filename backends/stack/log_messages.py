"""What objtool's messages mean: their kind in the catalogue, the callee, the states in words.

Wordings: tools/objtool/check.c, special.c and elf.c from Linux 4.6 to 6.19, and those of the
stacktool patches of 2015.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: Kind of messages that the catalogue has no rule for.
OTHER: Final = "other"

_KINDS: Final = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("call-without-frame", r"call (?:to \S+ )?without frame pointer save/setup"),
        ("return-modified", r"return (?:without frame pointer restore|with modified stack frame)"),
        ("duplicate-save", r"duplicate frame pointer save"),
        ("duplicate-setup", r"duplicate frame pointer setup"),
        ("state-mismatch", r"(?:frame pointer|stack) state mismatch"),
        ("sibling-modified", r"sibling call from callable instruction with"),
        ("unreachable", r"unreachable instruction"),
        ("return-outside", r"return instruction outside of a callable function"),
        ("not-callable", r"missing an ELF size annotation"),
        ("fallthrough", r"falls through to next function"),
        ("entry-insn", r"unsupported instruction in callable|kernel entry/exit from callable"),
        ("dynamic-jump", r"can't find switch jump table"),
        ("no-jump-dest", r"can't find jump dest instruction"),
        (
            "no-call-dest",
            r"can't find call dest|(?:unannotated|unsupported) intra-function call",
        ),
        ("no-start", r"can't find starting instruction"),
        ("decode", r"can't decode instruction"),
        ("end-of-section", r"unexpected end of section"),
        (
            "alternatives",
            r"alternative instruction group|alternative jump destination|jump label|special: can't"
            r"|stack layout conflict in alternatives|in alternatives section",
        ),
        ("undefined-state", r"undefined stack state"),
        ("bp-scratch", r"BP used as a scratch register"),
        ("stack-realign", r"unsupported stack pointer realignment"),
        (
            "stack-modify",
            r"unsupported stack register modification|unknown CFA base reg|PUSHF stack exhausted",
        ),
        ("uaccess", r"UACCESS"),
        ("direction-flag", r"\bDF set|recursive STD|redundant CLD"),
        ("retpoline", r"indirect \S+ found in (?:MITIGATION_)?RETPOLINE build"),
        ("rethunk", r"'naked' return found in (?:MITIGATION_)?RETHUNK build"),
        ("sls", r"missing int3 after"),
        ("ibt", r"relocation to !ENDBR"),
        (
            "missing-noreturn",
            r"is missing a __noreturn annotation|missing __noreturn in .*noreturns\.h",
        ),
    )
)

_CALLEE: Final = re.compile(
    r"(?:call to |next function )(?P<after>\S+?)\(\)|^(?P<before>\S+?)\(\) (?:is )?missing"
)

#: Registers as objtool numbers them (tools/objtool/arch/x86/include/arch/cfi_regs.h): since 5.13
#: as instructions encode them, before that as DWARF does. They differ below r8 alone.
_ENCODED: Final = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)),
)  # fmt: skip
_AS_DWARF: Final = (
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", *(f"r{n}" for n in range(8, 16)),
)  # fmt: skip
#: Numbers of rbp and rsp in DWARF: where one is the base of a CFA or is saved, it is meant so, as
#: rsi and rdi are neither.
_DWARF_ONLY: Final = frozenset((6, 7))
_UNDEFINED: Final = -1  # CFI_UNDEFINED
_NOWHERE: Final = "undefined"  # its place in words
_CFA: Final = -2  # CFI_CFA
_INDIRECT: Final = {-3: "(rsp)", -4: "(rbp)"}  # CFI_SP_INDIRECT, CFI_BP_INDIRECT
_STATE: Final = re.compile(
    r"(?P<what>cfa|reg)1(?:\[(?P<register>\d+)\])?=(?P<base1>-?\d+)(?P<offset1>[+-]\d+) "
    r"(?:cfa|reg)2(?:\[\d+\])?=(?P<base2>-?\d+)(?P<offset2>[+-]\d+)"
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A message, understood."""

    kind: str  # of the catalogue, or OTHER
    callee: str = ""
    expected: str = ""  # "CFA is rbp+16"
    found: str = ""


def meaning(message: str) -> Meaning:
    """What a message of stacktool or objtool says, without its place."""
    kind = next((kind for kind, pattern in _KINDS if pattern.search(message)), OTHER)
    callee = _CALLEE.search(message)
    name = (callee["after"] or callee["before"]) if callee else ""
    if kind == "not-callable":
        name = ""
    expected, found = _states(message) if kind == "state-mismatch" else ("", "")
    return Meaning(kind, name, expected, found)


def _states(message: str) -> tuple[str, str]:
    """The two states of a mismatch: known before, and met now."""
    match = _STATE.search(message)
    if match is None:
        return "", ""
    bases = int(match["base1"]), int(match["base2"])
    register = int(match["register"] or 0)
    names = _AS_DWARF if _DWARF_ONLY & {*bases, register} else _ENCODED
    first, second = (
        _place(names, base, match[offset])
        for base, offset in zip(bases, ("offset1", "offset2"), strict=True)
    )
    if match["what"] == "cfa":
        return f"CFA is {first}", f"CFA is {second}"
    name = _name(names, register)
    return _saved(name, first), _saved(name, second)


def _saved(name: str, place: str) -> str:
    return f"{name} saved at {place}" if place != _NOWHERE else f"{name} not saved"


def _place(names: tuple[str, ...], base: int, offset: str) -> str:
    if base == _UNDEFINED:
        return _NOWHERE
    return f"{'CFA' if base == _CFA else _name(names, base)}{offset}"


def _name(names: tuple[str, ...], number: int) -> str:
    if number in _INDIRECT:
        return _INDIRECT[number]
    return names[number] if 0 <= number < len(names) else f"register {number}"
