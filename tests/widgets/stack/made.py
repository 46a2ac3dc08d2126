"""Findings and reports made by hand, for tests of what draws them."""

from __future__ import annotations

from dataclasses import replace

from kdash.backends.stack.facts import (
    FileReport,
    Finding,
    Level,
    Line,
    PathStep,
    Related,
    Rule,
    SourceLine,
)

RULE = Rule(
    kind="call-without-frame",
    message="call without frame pointer save/setup",
    level=Level.ERROR,
    protects="A stack trace through this function leaves out its caller.",
    respond="Put FRAME_BEGIN and FRAME_END around the body.",
)

ENTRY = "CFA is rsp+8"
PUSHED = "CFA is rsp+16, rbx saved at CFA-16"

CODE = (
    Line(0x30, b"\x53", "push rbx", state=ENTRY, symbol="x_probe"),
    Line(0x31, b"\x48\x89\xfb", "mov rbx,rdi", state=PUSHED),
    Line(0x34, b"\x85\xf6", "test esi,esi", state=PUSHED),
    Line(0x36, b"\x74\x05", "je 0x3d", state=PUSHED),
    Line(0x38, b"\xe8\0\0\0\0", "call kmalloc", state=PUSHED),
    Line(0x3D, b"\xe8\0\0\0\0", "call kfree", state=PUSHED, site=True),
    Line(0x42, b"\x5b", "pop rbx", state=PUSHED),
    Line(0x43, b"\xc3", "ret", state=ENTRY),
    Line(0x44, b"\x90", "nop"),
    Line(0x45, b"\xc3", "ret", symbol="x_remove"),
)

PATH = (
    PathStep(0, "push rbx", "fallthrough"),
    PathStep(6, "je 0x3d", "fallthrough"),
    PathStep(13, "call kfree", "branch"),
)


def finding(number: int = 0, **changes: object) -> Finding:
    """A finding with everything a finding can have."""
    made = Finding(
        file=f"drivers/net/file{number}.o",
        section=".text",
        function="x_probe",
        offset=0xD,
        address=0x3D,
        kind=RULE.kind,
        level=Level.ERROR,
        message=RULE.message,
        expected="CFA is rbp+16, rbp saved at CFA-16",
        found=PUSHED,
        callee="kfree",
        source=SourceLine("drivers/net/file.c", 120),
        cause="5f1c",
        path=PATH,
        related=(Related("unreachable", 0x40),),
        disassembly=CODE,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def report(*findings: Finding, file: str = "", **changes: object) -> FileReport:
    """A report of the file of its first finding."""
    name = file or (findings[0].file if findings else "clean.o")
    made = FileReport(name, findings, functions=10, instructions=500, seconds=0.01)
    return replace(made, **changes)  # type: ignore[arg-type]


UNREACHABLE = finding(
    1,
    function="",
    section=".init.text",
    offset=0x12,
    address=0x12,
    kind="unreachable",
    level=Level.WARNING,
    message="unreachable instruction",
    expected="",
    found="",
    callee="",
    source=None,
    path=(),
    related=(),
    disassembly=(),
)
HOSTILE = finding(
    2, function="[bold]x[/]", kind="return-modified", message="\x1b[31mred", file="a\x1b]0;t\x07.o"
)
BROKEN = FileReport("broken.o", error="not an ELF file")


def mixed() -> tuple[FileReport, ...]:
    """Reports with an error, a warning, a hostile name, a broken file and a clean one."""
    return (
        report(finding(), finding(0, offset=8, address=0x38, callee="kmalloc")),
        report(UNREACHABLE),
        report(HOSTILE),
        BROKEN,
        report(),
    )
