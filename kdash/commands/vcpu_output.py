"""What `kdash vcpu run` and `trace` print: text, one JSON object, JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from kdash.backends.kvm.disassembly import instruction_text
from kdash.backends.kvm.facts import Exit, Outcome, Registers
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.records import REGISTER_NAMES, Record, Steps
from kdash.backends.kvm.run import Listeners, Report, Request, run_guest
from kdash.commands.vcpu_stdout import stdout
from kdash.exit_status import ExitStatus
from kdash.widgets.printable import one_line, printable

#: The exit status of the first signal received, if one was.
Received = Callable[[], ExitStatus | None]

#: Seconds a line of the trace waits at most for the line table of its code.
LINES_WAIT = 10.0
CONTROLS = ("cr0", "cr3", "cr4", "efer")


def status_of(report: Report, received: Received) -> ExitStatus:
    """The exit status of a run."""
    signalled = received()
    if report.outcome is Outcome.INTERRUPTED and signalled is not None:
        return signalled
    if report.unwritten:
        return ExitStatus.ENVIRONMENT
    good = report.outcome is Outcome.HLT or (
        report.outcome is Outcome.EXIT_PORT and report.exit_value == 0
    )
    return ExitStatus.OK if good else ExitStatus.FINDINGS


def _interrupted(received: Received) -> Callable[[], bool]:
    return lambda: received() is not None


# -- text


def text_run(request: Request, raw_exits: bool, quiet: bool, received: Received) -> ExitStatus:
    """The guest's output on stdout as it comes, exits and the outcome on stderr."""
    listeners = Listeners(
        serial=write_serial,
        exit=None if quiet else _exit_writer(request.guest.vcpus > 1),
        interrupted=_interrupted(received),
    )
    report = run_guest(request, listeners)
    _finish_line()
    for address, data in report.memory.items():
        write_dump(address, data)
    stdout().flush()
    sys.stderr.write(f"{report.outcome.value}: {printable(report.detail)}\n")
    if report.failure:
        sys.stderr.write(f"{printable(report.failure)}\n")
    if report.unwritten:
        sys.stderr.write(
            f"kdash vcpu: the recording is not written: {one_line(report.unwritten)}\n"
        )
    if raw_exits:
        counts = ", ".join(f"{count} {name}" for name, count in report.raw_exits.items())
        sys.stderr.write(f"KVM_RUN returned: {counts}\n")
    return status_of(report, received)


# Whether the terminal's cursor stands behind serial output that ended without a newline.
_unfinished = False


def write_serial(data: bytes) -> None:
    """The guest's bytes as they are; on a terminal without what it would obey."""
    global _unfinished  # noqa: PLW0603 - there is one terminal
    if stdout().isatty():
        stdout().write(harmless(data))
        _unfinished = not data.endswith(b"\n")
    else:
        stdout().buffer.write(data)
    stdout().flush()


def harmless(data: bytes) -> str:
    """Bytes for a terminal: newline, tab and printable ASCII as they are, others as <hex>.

    A carriage return before a newline is dropped, as it shows nothing.
    """
    text = data.replace(b"\r\n", b"\n").decode("latin-1")
    return "".join(c if c in "\n\t" or " " <= c <= "~" else f"<{ord(c):02x}>" for c in text)


def _exit_writer(several: bool) -> Callable[[Exit], None]:
    return lambda one: write_exit(one, several)


def write_exit(one: Exit, several: bool = False) -> None:
    """One line an exit, on a line of its own where serial output shares the terminal."""
    _finish_line()
    vcpu = f"VCPU {one.vcpu} " if several else ""
    sys.stderr.write(f"{one.index:6} {vcpu}{one.ip:#08x} {one.name:<8} {printable(one.meaning)}\n")


def _finish_line() -> None:
    """On a terminal, go on below serial output that ended without a newline."""
    global _unfinished  # noqa: PLW0603 - there is one terminal
    if _unfinished and sys.stderr.isatty():
        sys.stderr.write("\n")
    _unfinished = False


def write_dump(address: int, data: bytes) -> None:
    """Sixteen bytes a line."""
    for start in range(0, max(len(data), 1), 16):
        line = data[start : start + 16].hex(" ")
        stdout().write(f"{address + start:#x}: {line or '(not mapped)'}\n")


# -- JSON


def json_run(request: Request, raw_exits: bool, received: Received) -> ExitStatus:
    """One object when the run has ended."""
    report = run_guest(request, Listeners(interrupted=_interrupted(received)))
    stdout().write(json.dumps(as_json(report, raw_exits)) + "\n")
    return status_of(report, received)


def as_json(report: Report, raw_exits: bool = False) -> dict[str, Any]:
    """The object of the command-line interface."""
    result: dict[str, Any] = {
        "engine": report.engine,
        "outcome": report.outcome.value,
        "detail": report.detail,
        "serial": report.serial.decode("latin-1"),
        "debug_port": report.debug_port.decode("latin-1"),
        "exits": dict(report.exits),
        "ports": {f"{port:#x}": {"in": n[0], "out": n[1]} for port, n in report.ports.items()},
        "mmio": {"reads": report.mmio[0], "writes": report.mmio[1]},
        "steps": report.steps,
        "seconds": round(report.seconds, 6),
        "vcpus": [
            {"outcome": one.outcome.value, **registers_json(one.registers)} for one in report.vcpus
        ],
        "memory": {f"{address:#x}": data.hex() for address, data in report.memory.items()},
    }
    if report.teletype is not None:
        result["teletype"] = report.teletype.decode("latin-1")
    if report.failure:
        result["failure"] = report.failure
    if report.unwritten:
        result["unwritten"] = report.unwritten
    if raw_exits:
        result["raw_exits"] = dict(report.raw_exits)
    return result


def registers_json(registers: Registers) -> dict[str, str]:
    """General registers, RIP first, then what says the mode."""
    names = ("rip", *(name for name in REGISTER_NAMES if name not in ("rip", "rflags")), "rflags")
    found = {name: f"{getattr(registers, name):#x}" for name in names}
    found["cs_base"] = f"{registers.cs.base:#x}"
    found.update((name, f"{getattr(registers, name):#x}") for name in CONTROLS)
    return found


# -- trace


def trace(request: Request, exits_alone: bool, received: Received) -> ExitStatus:
    """A line for each step and exit, and last the object of `json_run`."""
    from dataclasses import replace

    instruction_text(b"\x90", 0, 64)  # loads the decoder, which is not the guest's time
    several = request.guest.vcpus > 1
    previous = [_start_values(request, index) for index in range(request.guest.vcpus)]

    def stepped(steps: Steps) -> None:
        vcpu = steps.vcpu
        for number, record in enumerate(steps, steps.first):
            pairs = zip(REGISTER_NAMES, previous[vcpu], record.registers, strict=True)
            changed = {
                name: f"{after:#x}"
                for name, before, after in pairs
                if before != after and name != "rip"
            }
            previous[vcpu] = record.registers
            line = {**step_json(record, number, changed), **origin_json(request.guest, record.rip)}
            write_line({**line, "vcpu": vcpu} if several else line)

    def interrupted() -> bool:
        stdout().flush()  # whoever reads along sees it at every look
        return received() is not None

    listeners = Listeners(
        exit=lambda one: write_line(exit_json(one, several)),
        steps=None if exits_alone else stepped,
        interrupted=interrupted,
    )
    report = run_guest(replace(request, step_by_step=not exits_alone), listeners)
    write_line(as_json(report))
    return status_of(report, received)


def _start_values(request: Request, index: int) -> tuple[int, ...]:
    """General registers of a VCPU before its first step."""
    if request.guest.recorded is not None:
        shown = request.guest.recorded.recording.registers(index)
        return tuple(request.registers.get(name, getattr(shown, name)) for name in REGISTER_NAMES)
    values = {**request.guest.start_registers(index), **request.registers}
    return tuple(values.get(name, 0) for name in REGISTER_NAMES)


def step_json(record: Record, number: int, changed: dict[str, str]) -> dict[str, Any]:
    """One step: where, what, and the registers it changed beside RIP."""
    text = instruction_text(record.code, record.rip, record.bits)
    length = instruction_length(record)
    return {
        "step": number,
        "ip": f"{record.rip:#x}",
        "code": record.code[:length].hex(),
        "text": text,
        "changed": changed,
    }


def origin_json(guest: Guest, ip: int) -> dict[str, Any]:
    """The symbol and the source line of an address; what is not known is absent."""
    found: dict[str, Any] = {}
    symbol = guest.symbols.nearest(ip)
    if symbol:
        found["symbol"] = symbol
    line = guest.lines.find(ip, LINES_WAIT) if guest.lines else None
    if line:
        found["source"] = {"file": line.file, "line": line.line}
    return found


def instruction_length(record: Record) -> int:
    """Bytes of the instruction; one where they are none."""
    from kdash.backends.kvm.disassembly import decode

    decoded = decode(record.code, record.rip, record.bits)
    return decoded.len if decoded else 1


def exit_json(one: Exit, several: bool = False) -> dict[str, Any]:
    """One exit; `step` is absent at full speed, `vcpu` where there is one VCPU."""
    found: dict[str, Any] = {"exit": one.name, "index": one.index}
    if several:
        found["vcpu"] = one.vcpu
    if one.step is not None:
        found["step"] = one.step
    return {**found, "ip": f"{one.ip:#x}", "meaning": one.meaning}


def write_line(value: dict[str, Any]) -> None:
    """One line of JSON."""
    stdout().write(json.dumps(value) + "\n")
