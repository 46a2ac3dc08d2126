"""What the stack backend tells about object files: frozen facts, standard library only.

Kinds, levels and JSON keys are the command line's interface and keep their names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import Enum


class Level(Enum):
    """How serious a finding is; only errors change the exit status."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding: what it says, why it matters, how to respond."""

    kind: str  # "call-without-frame"
    message: str  # the line objtool users know: "call without frame pointer save/setup"
    level: Level
    protects: str  # one or two sentences: what goes wrong at run time
    respond: str  # what to do about it, one or two sentences
    bad: str = ""  # an example that breaks it, in lines
    good: str = ""  # the same code, mended


@dataclass(frozen=True, slots=True)
class SourceLine:
    """Where an instruction came from, by the object's DWARF line table."""

    file: str
    line: int
    directory: str = field(default="", compare=False)  # it was compiled in; "" if unknown


@dataclass(frozen=True, slots=True)
class PathStep:
    """One step of the path from a function's entry to a finding."""

    offset: int  # bytes from the function's start, else from the section's
    text: str  # the instruction
    edge: str  # how it was reached: fallthrough, branch, call, jump-table, alternative, ...
    feature: str = ""  # CPU feature of an alternative edge: "X86_FEATURE_SMAP"


@dataclass(frozen=True, slots=True)
class Related:
    """A site that the same cause explains."""

    kind: str
    offset: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of disassembly around a finding's site."""

    offset: int  # bytes from the start of its section
    code: bytes
    text: str
    site: bool = False  # the finding is about this instruction
    state: str = ""  # stack state before it: "CFA is rsp+8"; empty where never reached
    symbol: str = ""  # a symbol that starts here
    source: SourceLine | None = None  # where another one begins than the line before has


OWN = "kdash"  # the origin of our own findings

#: What a finding of this run is to an older run: not there; gone since; the same finding at
#: another place; there as it is now.
CHANGES = ("new", "fixed", "moved", "same")


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation of one rule at one site."""

    file: str  # the path as the user gave it
    section: str
    function: str  # "" outside functions
    offset: int  # bytes from the function's start, else from the section's
    address: int  # bytes from the section's start
    kind: str
    level: Level
    message: str
    expected: str = ""  # "CFA is rbp+16, rbp saved at CFA-16"
    found: str = ""  # "CFA is rsp+8"
    callee: str = ""
    source: SourceLine | None = None
    cause: str = ""  # hex digest: equal for findings of one root cause
    path: tuple[PathStep, ...] = ()
    related: tuple[Related, ...] = ()
    origin: str = OWN
    disassembly: tuple[Line, ...] = ()  # around the site; not part of the JSON interface
    agrees: bool | None = None  # imported: whether the validator finds it too; None: not known
    verdict: str = ""  # imported: what the validator says, or why it says nothing
    ours: tuple[Related, ...] = ()  # imported: what the validator finds there, nearest first
    fingerprint: str = ""  # equal for the same finding after a rebuild; see fingerprints.py
    change: str = ""  # against an older run: one of CHANGES; "" where there is none
    was: str = ""  # moved: where the older run has it, "x.o: f+0x10"
    placed: bool = True  # whether offset and address are known; else they are 0

    @property
    def place(self) -> str:
        """Where it is, as far as is known: "x_probe+0x1d"; outside functions ".text+0x4d"."""
        name = self.function or self.section
        return f"{name}+{self.offset:#x}" if self.placed else name


@dataclass(frozen=True, slots=True)
class FileReport:
    """The result for one object file: findings, or the reason why it can't be read."""

    file: str
    findings: tuple[Finding, ...] = ()
    error: str = ""  # one line; set when the file could not be validated
    frame_pointer: bool = False  # whether the frame pointer rules were on
    frame_pointer_reason: str = ""  # how auto decided, "" when the user said
    functions: int = 0
    instructions: int = 0
    seconds: float = 0.0
    left_out: int = 0  # findings that are not told, as there are too many in one file
    sample: bool = False  # one of the bundled objects


#: What a user may decide about a finding; all but the first accept it as it is.
VERDICTS = ("to-fix", "false-positive", "toolchain", "wont-fix")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a user decided about a finding, wherever and whenever it is met again."""

    fingerprint: str  # of the finding
    word: str  # one of VERDICTS
    note: str = ""  # why, in the user's words
    expires: str = ""  # the last day it counts, as 2026-12-31; "" for ever
    made: str = ""  # when it was given, UTC, as 2026-11-22T18:00:00
    kind: str = ""  # of the finding, for whoever reads the file
    function: str = ""
    file: str = ""  # base name of the object

    @property
    def settled(self) -> bool:
        """Whether it accepts the finding as it is."""
        return self.word != VERDICTS[0]

    def in_force(self, today: date) -> bool:
        """Whether it counts on a day."""
        return not self.expires or today <= date.fromisoformat(self.expires)


@dataclass(frozen=True, slots=True)
class FlowBlock:
    """Instructions that are run one after the other, entered at the first alone."""

    label: str  # of its first instruction: "+1d", or "x.cold+3" outside of the function itself
    lines: tuple[Line, ...]  # `site` marks the instruction of the finding
    leaves: str = ""  # how the function is left at its end: "returns", "goes to kfree()", ...


@dataclass(frozen=True, slots=True)
class FlowEdge:
    """A way from one block to another."""

    source: int  # index of the block
    line: int  # of the source block, that it leaves from
    target: int  # index of the block
    kind: str  # as of PathStep.edge, and "next"
    feature: str = ""  # CPU feature of an alternative
    on_path: bool = False  # the path to the finding takes it
    offending: bool = False  # the finding is about what comes this way


@dataclass(frozen=True, slots=True)
class Flow:
    """The control flow of the function around a finding."""

    function: str  # or section, where the finding is outside of functions
    blocks: tuple[FlowBlock, ...]
    edges: tuple[FlowEdge, ...] = ()
    cut: int = 0  # blocks left out, because there are too many


class ObjectError(Exception):
    """An object file that can't be validated: one line that says what and where."""


class ResultsError(Exception):
    """A file of results that is malformed: one line that says where and why."""


#: Kinds that are rules only where the kernel is built so (CONFIG_MITIGATION_RETPOLINE, _RETHUNK,
#: _SLS; CONFIG_X86_KERNEL_IBT).
MITIGATIONS = ("retpoline", "rethunk", "sls", "ibt")


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How files are validated."""

    frame_pointer: str = "auto"  # auto, on, off
    noreturn: tuple[str, ...] = ()  # functions that never return, besides the known ones
    levels: tuple[tuple[str, str], ...] = ()  # (kind, "error" | "warning" | "off")
    builds: tuple[str, ...] = ()  # MITIGATIONS that the kernel is built with
    uaccess: bool = False  # follow stac and clac


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the scheduler of a Dask cluster is, and the files for TLS, if it wants that."""

    address: str  # "tcp://host:8786", "tls://host:8786"
    ca: str = ""
    certificate: str = ""
    key: str = ""


class ClusterError(Exception):
    """A cluster that can't be used: one line."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing the backend needs from its surroundings, for `kdash doctor`."""

    name: str
    verdict: str  # "ok", "warning", "failed"
    detail: str
    remedy: str = ""
