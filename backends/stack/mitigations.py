"""Rules of hardened builds: retpolines, return thunks, straight-line speculation, ENDBR.

They look at every instruction, reached or not. Exemptions are those of tools/objtool/check.c
(6.1: validate_retpoline, validate_sls, validate_ibt) and the notes of the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from kdash.backends.stack.branches import NOWHERE
from kdash.backends.stack.codes import (
    CALL,
    CALL_INDIRECT,
    JCC,
    JMP,
    JMP_INDIRECT,
    RET,
    TRAP,
    code_tables,
)
from kdash.backends.stack.events import Events
from kdash.backends.stack.image import R_X86_64_PC32, R_X86_64_PLT32, Ints
from kdash.backends.stack.membership import among
from kdash.backends.stack.program import Program
from kdash.backends.stack.section_headers import Section
from kdash.backends.stack.violations import Violation

_SHF_ALLOC: Final = 2
_PC_RELATIVE: Final = (R_X86_64_PC32, R_X86_64_PLT32)
#: Tables whose addresses of code are never branched to.
_TABLES: Final = (
    ".altinstructions", ".ibt_endbr_seal", ".orc_unwind", ".orc_unwind_ip", ".parainstructions",
    ".retpoline_sites", ".return_sites", ".smp_locks", ".static_call_sites", ".call_sites",
    "_error_injection_whitelist", "_kprobe_blacklist", "__bug_table", "__ex_table",
    "__jump_table", "__mcount_loc", "__patchable_function_entries",
    ".llvm.call-graph-profile", ".kcfi_traps", "__kcfi_traps", ".static_call.text",
)  # fmt: skip


_MODULE: Final = ".gnu.linkonce.this_module"  # section that every module has


@dataclass(frozen=True, slots=True)
class DataReference:
    """An address of code without ENDBR, in data."""

    section: str
    offset: int  # bytes from the section's start
    target: str  # "function+0x10"


class Mitigations:
    """Judges the instructions of a program by the mitigations it is built with."""

    def __init__(self, program: Program, events: Events, builds: tuple[str, ...]) -> None:
        self._program = program
        self._events = events
        self._builds = builds

    def violations(self) -> list[Violation]:
        """All findings about instructions, by kind."""
        found: list[Violation] = []
        if not len(self._program.code):
            return found
        for kind in self._builds:
            match kind:
                case "retpoline":
                    found += self._retpoline()
                case "rethunk":
                    found += self._each("rethunk", self._naked(RET))
                case "sls":
                    found += self._sls()
                case "ibt":
                    found += self._ibt()
        return found

    def _each(
        self, kind: str, chosen: npt.NDArray[np.bool_] | Ints, message: str = ""
    ) -> list[Violation]:
        instructions = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        holders = self._program.functions.containing(self._program.code.start[instructions])
        return [
            Violation(kind, self._events.of(at), at, holder, message=message)
            for at, holder in zip(instructions.tolist(), holders.tolist(), strict=True)
        ]

    @cached_property
    def _safe(self) -> npt.NDArray[np.bool_]:
        """Instructions that somebody declared safe."""
        code = self._program.code
        safe = np.zeros(len(code), np.bool_)
        at = code.index_at(self._program.special.retpoline_safe)
        safe[at[at >= 0]] = True
        return safe

    def _naked(self, kind: int) -> npt.NDArray[np.bool_]:
        """Instructions of a kind by themselves, not by way of a thunk."""
        raw = code_tables().control[self._program.code.code]
        result: npt.NDArray[np.bool_] = (raw == kind) & ~self._safe
        return result

    def _retpoline(self) -> list[Violation]:
        message = "indirect {} found in RETPOLINE build"
        kept = ~self._run_at_boot
        calls = self._each("retpoline", self._naked(CALL_INDIRECT) & kept, message.format("call"))
        jumps = self._naked(JMP_INDIRECT) & kept
        return calls + self._each("retpoline", jumps, message.format("jump"))

    @property
    def _run_at_boot(self) -> npt.NDArray[np.bool_]:
        """Instructions of the kernel's own .init.text, run before anybody could attack.

        Modules have one too, but are loaded at any time.
        """
        code = self._program.code
        found = np.zeros(len(code), np.bool_)
        if not self._program.image.sections_named(_MODULE):
            for section in code.sections:
                if section.section.name == ".init.text":
                    found[section.first : section.last] = True
        return found

    def _sls(self) -> list[Violation]:
        code = self._program.code
        trapped = np.zeros(len(code), np.bool_)
        trapped[:-1] = code.control[1:] == TRAP
        for section in code.sections:  # what follows in another section protects nothing
            if section.last > section.first:
                trapped[section.last - 1] = False
        returns = self._each("sls", self._naked(RET) & ~trapped, "missing int3 after ret")
        jumps = self._naked(JMP_INDIRECT) & ~trapped
        return returns + self._each("sls", jumps, "missing int3 after indirect jump")

    # --- indirect branch tracking

    def _ibt(self) -> list[Violation]:
        """Instructions that take the address of code without ENDBR."""
        program, relocations = self._program, self._program.relocations
        control = program.code.control[relocations.instruction]
        branches = (JCC, JMP, JMP_INDIRECT, CALL, CALL_INDIRECT, RET)
        plain = np.flatnonzero(~among(control, branches))
        symbol = relocations.symbol[plain]
        behind = (
            program.code.start[relocations.instruction[plain]]
            + program.code.length[relocations.instruction[plain]]
            - relocations.position[plain]
        )
        relative = among(relocations.type[plain], _PC_RELATIVE)
        addend = relocations.addend[plain] + np.where(relative, behind, 0)
        target = self._positions(symbol, addend)
        bad = self._lacks_endbr(target)
        source = program.functions.containing(program.code.start[relocations.instruction[plain]])
        own = (source >= 0) & (source == program.functions.containing(target))
        chosen = np.flatnonzero(bad & ~own)
        return [
            Violation(
                "ibt",
                self._events.of(at),
                at,
                int(holder),
                message=f"relocation to !ENDBR: {self._place(position)}",
                callee=self._place(position).partition("+")[0],
            )
            for at, holder, position in zip(
                relocations.instruction[plain[chosen]].tolist(),
                source[chosen].tolist(),
                target[chosen].tolist(),
                strict=True,
            )
        ]

    def data_references(self) -> list[DataReference]:
        """Addresses of code without ENDBR in data."""
        if "ibt" not in self._builds or not len(self._program.code):
            return []
        found: list[DataReference] = []
        for section in self._program.image.sections:
            if self._holds_targets(section):
                relocations = self._program.image.relocations(section)
                target = self._positions(relocations.symbol, relocations.addend)
                for at in np.flatnonzero(self._lacks_endbr(target)).tolist():
                    offset, place = int(relocations.offset[at]), self._place(int(target[at]))
                    found.append(DataReference(section.name, offset, place))
        return found

    def _holds_targets(self, section: Section) -> bool:
        """Whether addresses in a section may be branched to."""
        if section.executable or not section.flags & _SHF_ALLOC:
            return False
        return section.name not in _TABLES and len(self._program.image.relocations(section)) > 0

    def _positions(self, symbol: Ints, addend: Ints) -> Ints:
        image, code = self._program.image, self._program.code
        base = code.bases[image.symbols.section[symbol]]
        place = image.symbols.value[symbol] + addend
        size = code.sizes[image.symbols.section[symbol]]
        return np.where((base >= 0) & (place >= 0) & (place < size), base + place, NOWHERE)

    def _lacks_endbr(self, positions: Ints) -> npt.NDArray[np.bool_]:
        """Which positions are instructions that an indirect branch may not go to."""
        code = self._program.code
        at = code.index_at(positions)
        result: npt.NDArray[np.bool_] = (
            (positions >= 0)
            & (at >= 0)
            & (code.code[at] != code_tables().endbr)
            & ~among(positions, self._program.special.no_endbr)
        )
        return result

    def _place(self, position: int) -> str:
        program = self._program
        function = int(program.functions.containing(np.array([position], np.int64))[0])
        if function >= 0:
            distance = position - int(program.functions.start[function])
            return f"{program.functions.name(function)}+{distance:#x}"
        section = program.code.section_at(position)
        return f"{section.section.name}+{position - section.base:#x}"
