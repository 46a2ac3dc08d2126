"""Snapshots made by hand, and an app that shows one part of the pane."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from textual.app import App, ComposeResult
from textual.widget import Widget

from kdash.backends.kvm.facts import (
    Exit,
    ExitReason,
    Instruction,
    IoExit,
    Registers,
    RunState,
    Snapshot,
)
from kdash.widgets.vcpu.part import LinePart, Tones

CODE = (  # RIP, bytes, text
    (0x1000, "baf803", "mov dx,0x3f8"),
    (0x1003, "00d8", "add al,bl"),
    (0x1005, "0430", "add al,0x30"),
    (0x1007, "ee", "out dx,al"),
    (0x1008, "b00a", "mov al,0xa"),
    (0x100A, "ee", "out dx,al"),
    (0x100B, "f4", "hlt"),
)


def listing(current: int = 0x1000) -> tuple[Instruction, ...]:
    """The article's guest, disassembled."""
    return tuple(
        Instruction(ip, ip, bytes.fromhex(code), text, ip == current) for ip, code, text in CODE
    )


def io_exit(index: int, meaning: str = "out 0x3f8", data: bytes = b"4", step: int = 3) -> Exit:
    """An OUT to the serial port."""
    detail = IoExit("out", 0x3F8, 1, len(data), data)
    return Exit(index, step, 0, ExitReason.IO, "IO", 0x1007, detail, meaning)


def snapshot(**changes: Any) -> Snapshot:
    """The article's guest as loaded, with `changes`."""
    registers = changes.get("registers", Registers(rax=2, rbx=2, rip=0x1000, cr0=0x6000_0010))
    made = Snapshot(
        guest="article guest (12 bytes)",
        engine="kvm",
        state=RunState.READY,
        steps=0,
        exits_total=0,
        seconds=0.0,
        registers=registers,
        changed=frozenset(),
        disassembly=listing(registers.rip),
        exits=(),
        serial=b"",
    )
    return replace(made, **changes)


class PartApp(App[None]):
    """Shows one part, and remembers what it says."""

    def __init__(self, part: Widget) -> None:
        super().__init__()
        self.part = part
        self.heard: list[Any] = []

    def compose(self) -> ComposeResult:
        with Tones():
            yield self.part

    def on_disassembly_view_breakpoint_toggled(self, event: Any) -> None:
        self.heard.append(event.ip)


def drawn(part: LinePart) -> str:
    """What a part draws now, line by line."""
    return "\n".join(part.render_line(y).text.rstrip() for y in range(part.size.height)).rstrip()
