"""What `monitor ...` answers: KVM's side of the guest, which gdb has no words for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from kdash.backends.kvm.facts import (
    Mode,
    NotRecorded,
    PastError,
    Registers,
    Segment,
    Snapshot,
    StopKind,
)
from kdash.backends.kvm.gdb_arguments import PATIENCE
from kdash.backends.kvm.gdb_target_xml import CONTROLS, GENERAL, SELECTORS
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.stop_requests import Wanted, exit_filter

#: Exits shown unless more are asked for.
EXITS: Final = 10
#: Instructions shown unless more are asked for.
INSTRUCTIONS: Final = 8

HELP: Final = """\
exits [N]   the last N exits (10) of the guest, with what they mean
cs          base and mode of the code segment
code [N]    N instructions (8) from CS:IP, decoded in the mode the VCPU is in
regs        general, segment and control registers
walk ADDR   how a linear address becomes a physical one, level by level
catch [KIND] [PORT|ADDR]
            stop at exits, as: catch, catch HLT, catch IO 0x3f8, catch MMIO 0xfee00000
uncatch     stop at no exit any more
record [on|off]
            whether continue records each step, so that reverse-continue finds it, or goes
            at full speed
resume-here after going back: make this moment the guest's state, forget what came later
serial TEXT input of the serial port; \\n, \\r, \\t, \\xNN as in C
keys TEXT   the same for the keyboard
vcpus       every VCPU: where it is and what it does
restart     load the guest anew; registers shown before are then stale (maint flush register-cache)
help        this list
"""
#: Commands whose argument is the rest of the line as it stands.
TYPED: Final = ("serial", "keys")
_COLUMNS: Final = 3


class Recorded(Protocol):
    """Says how `continue` goes."""

    recorded: bool  # step by step, so that each can be gone back


def monitor(session: VcpuSession, going: Recorded, line: str) -> str:
    """The answer to a line: whole lines of text.

    What comes from the guest is shown escaped.
    """
    words = line.split()
    name, arguments = (words[0], words[1:]) if words else ("help", [])
    if name in TYPED:
        arguments = [line.partition(name)[2].removeprefix(" ")]  # spaces are input too
    try:
        if name == "record":
            return _record(session, going, arguments)
        if name not in COMMANDS:
            return f"no command {shown(name)}; monitor help lists them\n"
        return COMMANDS[name](session, arguments)
    except (ValueError, PastError) as error:
        return f"{name}: {shown(str(error))}\n"


def _record(session: VcpuSession, going: Recorded, arguments: list[str]) -> str:
    if arguments not in ([], ["on"], ["off"]):
        raise ValueError("on or off?")
    if arguments:
        going.recorded = arguments == ["on"]
    snapshot = session.snapshot()
    if snapshot.unrecorded:
        return f"{snapshot.unrecorded}\n"
    how = "at full speed; going back, such a run is one step"
    if going.recorded:
        how = "step by step, each recorded"
    view = snapshot.recording
    if view is None:
        return f"continue goes {how}; nothing is recorded yet\n"
    return (
        f"continue goes {how}; at moment {view.position} of {view.first} to {view.last}, "
        f"{view.bytes >> 10} KiB of {view.limit >> 20} MiB\n"
    )


def shown(text: str) -> str:
    """Text of a guest or a user on one line of ASCII; what a terminal would obey is escaped."""
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in text)


def _help(_session: VcpuSession, _arguments: list[str]) -> str:
    return HELP


def _count(arguments: list[str], usual: int) -> int:
    """The number asked for, or the usual one.

    Raises:
        ValueError: when it is none.
    """
    try:
        count = int(arguments[0], 0) if arguments else usual
    except ValueError:
        count = 0
    if count < 1:
        raise ValueError(f"{shown(arguments[0])} is no number from 1")
    return count


def _exits(session: VcpuSession, arguments: list[str]) -> str:
    count = _count(arguments, EXITS)
    snapshot = session.snapshot()
    kept = snapshot.exits[-count:]
    if not kept:
        return "no exit yet\n"
    lines = [f"{one.index:6} {one.ip:#08x} {one.name:<8} {shown(one.meaning)}" for one in kept]
    if len(kept) < min(count, snapshot.exits_total):
        lines.insert(0, f"of {snapshot.exits_total} exits the last {len(kept)} are kept")
    return _lines(lines)


def _cs(session: VcpuSession, _arguments: list[str]) -> str:
    registers = session.snapshot().registers
    cs = registers.cs
    text = (
        f"CS {cs.selector:#06x}, base {cs.base:#x}, limit {cs.limit:#x}, "
        f"{_mode(registers)}; next instruction at linear {registers.linear_ip:#x}"
    )
    if registers.linear_ip == registers.rip:
        return f"{text}\n"
    return f"{text}\ngdb reads memory by linear address: x/8xb $cs_base+$rip\n"


def _mode(registers: Registers) -> str:
    if registers.mode is Mode.REAL:
        return "real mode, 16-bit code"
    return f"{registers.mode.value} mode, {registers.code_bits}-bit code"


def _code(session: VcpuSession, arguments: list[str]) -> str:
    lines = []
    listed = session.snapshot().disassembly
    current = next((place for place, one in enumerate(listed) if one.current), 0)
    for one in listed[current : current + _count(arguments, INSTRUCTIONS)]:
        symbol = f"  <{shown(one.symbol)}>" if one.symbol else ""
        marker = "=>" if one.current else "  "
        lines.append(f"{marker} {one.ip:#x}  {one.code.hex():<20} {shown(one.text)}{symbol}")
    return _lines(lines)


def _walk(session: VcpuSession, arguments: list[str]) -> str:
    address = _address(arguments[0] if arguments else "")
    vcpu = session.snapshot().vcpu
    found = session.inspect(lambda inspector: inspector.walk(address, vcpu))
    lines = [f"{address:#x}, paging {found.paging}"]
    for level in found.levels:
        raw = "no memory" if level.raw is None else f"{level.raw:#018x} {' '.join(level.flags)}"
        leads = "" if level.next is None else f" -> {level.next:#x}"
        lines.append(f"{level.table:<5} [{level.index:3}] at {level.address:#x}: {raw}{leads}")
    if found.physical is None:
        lines.append(f"not mapped: {found.stop}")
    else:
        memory = "" if found.memory else ", where there is no memory"
        lines.append(f"physical {found.physical:#x} ({', '.join(found.rights) or 'read'}){memory}")
    return _lines(lines)


def _address(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise ValueError(f"{shown(text) or 'nothing'} is no address like 0x1000")
    return value


def _catch(session: VcpuSession, arguments: list[str]) -> str:
    kind = arguments[0] if arguments and not arguments[0][:1].isdigit() else None
    where = [_address(text) for text in arguments[kind is not None :][:1]]
    mmio = kind is not None and kind.upper() == "MMIO"
    exits = exit_filter(
        kind, None if mmio else next(iter(where), None), next(iter(where), None) if mmio else None
    )
    session.add_stop(Wanted(StopKind.EXIT, exits=exits)).result(PATIENCE)
    return f"stops at {exits}\n"


def _uncatch(session: VcpuSession, _arguments: list[str]) -> str:
    caught = [one for one in session.snapshot().stops if one.kind is StopKind.EXIT]
    for one in caught:
        session.remove_stop(one.number).result(PATIENCE)
    return f"stops at no exit; {len(caught)} forgotten\n"


def _resume_here(session: VcpuSession, _arguments: list[str]) -> str:
    try:
        registers = session.run_from_here().result(PATIENCE).registers
    except NotRecorded as reason:
        raise ValueError(str(reason)) from None
    return f"the guest is at {registers.linear_ip:#x}; what came later is forgotten\n"


def _serial(session: VcpuSession, arguments: list[str]) -> str:
    data = _typed(arguments[0])
    session.send_serial(data).result(PATIENCE)
    return f"bytes given to the serial port: {len(data)}\n"


def _keys(session: VcpuSession, arguments: list[str]) -> str:
    data = _typed(arguments[0])
    session.send_keys(data).result(PATIENCE)
    return f"keys pressed: {len(data)}\n"


def _typed(text: str) -> bytes:
    """Bytes of a text with C's escapes.

    Raises:
        ValueError: when an escape is none, or there is nothing.
    """
    try:
        data = text.encode("latin-1").decode("unicode_escape").encode("latin-1")
    except UnicodeError:
        raise ValueError(f"{shown(text)} has characters or escapes beyond a byte") from None
    if not data:
        raise ValueError("which text?")
    return data


def _regs(session: VcpuSession, _arguments: list[str]) -> str:
    registers = session.snapshot().registers
    names = (*GENERAL, "rip", "rflags")
    cells = [f"{name:<6} {getattr(registers, name):016x}" for name in names]
    lines = ["  ".join(cells[at : at + _COLUMNS]) for at in range(0, len(cells), _COLUMNS)]
    lines += [_segment(name, getattr(registers, name)) for name in SELECTORS]
    controls = [f"{name} {getattr(registers, name):x}" for name in CONTROLS]
    return _lines([*lines, "  ".join(controls), _mode(registers)])


def _segment(name: str, segment: Segment) -> str:
    return (
        f"{name}     {segment.selector:04x} base {segment.base:016x} limit {segment.limit:08x} "
        f"type {segment.type:x} dpl {segment.dpl}"
    )


def _vcpus(session: VcpuSession, _arguments: list[str]) -> str:
    return _lines(vcpu_line(session.snapshot(), index) for index in range(vcpu_count(session)))


def vcpu_count(session: VcpuSession) -> int:
    """How many VCPUs the machine has."""
    return max(len(session.snapshot().vcpus), 1)


def vcpu_line(snapshot: Snapshot, index: int) -> str:
    """Where a VCPU is and what it does."""
    if snapshot.vcpus:
        brief = snapshot.vcpus[index]
        registers, state = brief.registers, brief.state.value
        detail = brief.detail
    else:
        registers, state = snapshot.registers, snapshot.state.value
        detail = snapshot.detail
    told = f" ({shown(detail)})" if detail else ""
    return f"VCPU {index}: {state}{told}, {_mode(registers)}, at {registers.linear_ip:#x}"


def _restart(session: VcpuSession, _arguments: list[str]) -> str:
    registers = session.restart().result(PATIENCE).registers
    return f"loaded anew, at {registers.linear_ip:#x}\n"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


COMMANDS: Final[dict[str, Callable[[VcpuSession, list[str]], str]]] = {
    "help": _help,
    "exits": _exits,
    "cs": _cs,
    "code": _code,
    "regs": _regs,
    "resume-here": _resume_here,
    "serial": _serial,
    "keys": _keys,
    "walk": _walk,
    "catch": _catch,
    "uncatch": _uncatch,
    "vcpus": _vcpus,
    "restart": _restart,
}
