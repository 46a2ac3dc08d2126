"""`kdash vcpu`: run or trace a guest on /dev/kvm, list what KVM can do."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from kdash.commands.vcpu_stops import add_options as add_stop_options
from kdash.commands.vcpu_stops import stops_of
from kdash.exit_status import ExitStatus
from kdash.widgets.printable import one_line

if TYPE_CHECKING:
    from kdash.backends.kvm.cpuid_request import CpuidRequest
    from kdash.backends.kvm.guests import Guest
    from kdash.backends.kvm.run import Request

DESCRIPTION = "Run or trace a guest on /dev/kvm without a screen, or list KVM's capabilities."
EPILOG = """\
commands:
  run [GUEST]      run a guest to its end; its output on stdout, exits on stderr
  trace [GUEST]    the same step by step, each step and exit a line of JSON
  caps             every capability KVM_CHECK_EXTENSION knows

GUEST is a static ELF executable, a multiboot image, a Linux kernel (vmlinux or bzImage), a
boot sector or disk image, a BIOS image, or a flat binary; without one it is the 12-byte
sample that prints 4.

examples:
  kdash vcpu run
  kdash vcpu run boot.bin --mode long --timeout 5 --format json
  kdash vcpu trace --max-steps 100 boot.bin | jq -r .text
  kdash vcpu caps | grep SYNC
"""
RUN_EPILOG = """\
A flat binary has RAM from 0, is loaded and entered at 0x1000, with RSP 0x8000 - 0x400 * N
and RDI N on VCPU N; all of them start there. VCPUs of a boot sector or multiboot image but
the first wait for INIT and SIPI, with --irqchip. Several VCPUs run in a thread each, step by
step (--max-steps, trace) they take turns. The run ends with the first VCPU that ends
otherwise than by HLT, or when all have halted.
An ELF64 executable starts in long mode, ELF32 and multiboot in protected mode; a boot sector
(55 aa at 510) at 0:7c00 with BIOS services; a BIOS image (64K to 16M with a jump in its
last 16 bytes) at the reset vector, mapped below 4 GiB and copied below 1 MiB.
A Linux kernel is entered by the 64-bit boot protocol, with 256M and its console on the serial
port unless --memory and --append say otherwise; out of a bzImage the kernel is taken first.
Ports: 0x3f8 serial output, 0xe9 and 0x402 debug output, 0xf4 ends the run. Serial output,
debug output and what is printed by BIOS calls go to stdout.
Numbers are decimal or 0x...; sizes take K, M, G.
A device is a class with ports and mmio (a range or None), read(address, size) -> int and
write(address, size, value); attach(machine) if it has it. It takes over built-in ports.

Stops end the run as "interrupted" and say what was met: --break main, --break '0x1008 if
rax == 5 && dword [rsp] != 0', --watch 0x2000:4 (the bytes change), --awatch 0x2000 (they are
read or written), --until-exit any, --until-exit IO:0x3f8. Addresses are linear, or symbols. Up
to four breakpoints leave the guest at full speed; more, and watched memory, make it run by steps.

With --record every step is kept in a file, with the registers and memory it changed; `kdash FILE`
goes through them, back and forth, without KVM. At most 512 MiB; the oldest steps are dropped first.

With --gdb the guest waits for gdb (target remote) at its first instruction; its output stays
on stdout, exits are shown by `monitor exits`, other words by `monitor help`. A detached guest
runs on, a lost connection leaves it stopped for the next one, `kill` ends it.

examples:
  kdash vcpu run kernel.elf --cpuid 1.ecx=0x80000000
  kdash vcpu run adder.bin --set rax=2 --set rbx=0x10 --dump 0x2000:16 --format json
  kdash vcpu run kernel.elf --break 'panic if rdi != 0' --watch jiffies:8
  kdash vcpu run boot.img --record boot.kdash; kdash boot.kdash
  kdash vcpu run kernel.elf --gdb :1234    and then: gdb kernel.elf -ex 'target remote :1234'

Exit status: 0 the guest halted, or wrote 0 to port 0xf4; 1 any other end;
2 usage or a malformed guest; 3 KVM can't be used; 129, 130, 143 on a signal.
"""
TRACE_EPILOG = """\
A step is {"step": 0, "ip": "0x1000", "code": "baf803", "text": "mov dx,0x3f8", "changed": {...}};
an exit is {"exit": "IO", "index": 0, "step": 3, "ip": "0x1007", "meaning": "out 0x3f8, ..."} and
comes before the step it belongs to; a step also has "symbol" and "source" ({"file", "line"})
where they are known; the last line is the object of `vcpu run --format json`.

example:
  kdash vcpu trace boot.bin --max-steps 1000 > boot.jsonl

Exit status as of `kdash vcpu run`.
"""
CAPS_EPILOG = """\
example:
  kdash vcpu caps --format json | jq '.capabilities[] | select(.value > 1)'
"""

MODES: Final = ("real", "protected", "long")
TYPES: Final = ("flat", "elf", "multiboot", "boot", "bios", "linux")
SIGNALS: Final = {
    signal.SIGHUP: ExitStatus.SIGHUP,
    signal.SIGINT: ExitStatus.SIGINT,
    signal.SIGTERM: ExitStatus.SIGTERM,
}
#: Bytes of input taken from a file: it is held in memory.
SERIAL_INPUT: Final = 16 << 20
DUMP_MAXIMUM = 64 << 20  # bytes one --dump prints at most
_SUFFIXES: Final = {"K": 10, "M": 20, "G": 30}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints take one line."""

    def __init__(self, name: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=f"kdash {name}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with status 2."""
        self.exit(ExitStatus.USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def run(argv: list[str]) -> int:
    """Carry out `kdash vcpu ...`; returns the exit status."""
    commands = {"run": run_command, "trace": trace_command, "caps": caps_command}
    if argv and argv[0] in commands:
        return commands[argv[0]](argv[1:])
    parser = Parser("vcpu", DESCRIPTION, EPILOG)
    parser.usage = "kdash vcpu run | trace | caps ..."
    parser.add_argument("command", choices=tuple(commands), help=argparse.SUPPRESS)
    parser.parse_known_args(argv)
    return ExitStatus.USAGE


def run_command(argv: list[str]) -> int:
    """`kdash vcpu run`."""
    parser = guest_parser("vcpu run", "Run a guest to its end.", RUN_EPILOG)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--record", metavar="FILE",
        help="keep every step there, for kdash FILE to go through")  # fmt: skip
    parser.add_argument("--raw-exits", action="store_true", help="count what KVM_RUN returned")
    parser.add_argument("--quiet", action="store_true", help="no exits on stderr")
    parser.add_argument("--gdb", type=gdb_address, metavar="HOST:PORT",
        help="wait for gdb there and let it run the guest (host: 127.0.0.1)")  # fmt: skip
    arguments = parser.parse_args(argv)
    if arguments.gdb is not None:
        refuse_beside_gdb(parser, arguments)

    def carry_out(request: Request) -> int:
        from kdash.commands.vcpu_output import json_run, text_run

        if arguments.gdb is not None:
            from kdash.commands.vcpu_gdb import gdb_run

            return gdb_run(request, arguments.gdb, received_signal)
        if arguments.format == "json":
            return json_run(request, arguments.raw_exits, received_signal)
        return text_run(request, arguments.raw_exits, arguments.quiet, received_signal)

    return with_guest(arguments, carry_out)


def refuse_beside_gdb(parser: Parser, arguments: argparse.Namespace) -> None:
    """Options that a run which gdb controls has no use for."""
    wrong = {
        "--format json": arguments.format == "json",
        "--raw-exits": arguments.raw_exits,
        "--max-steps": arguments.max_steps is not None,
        "--record": arguments.record is not None,
        "--break": bool(arguments.breaks),
        "--watch": bool(arguments.watches or arguments.awatches),
        "--until-exit": bool(arguments.exit_stops),
    }
    for option in (name for name, typed in wrong.items() if typed):
        parser.error(f"{option} does not go with --gdb; in gdb, monitor exits shows exits")


def gdb_address(text: str) -> tuple[str, int]:
    """HOST:PORT, :PORT or PORT."""
    from kdash.commands.vcpu_gdb import gdb_address

    return gdb_address(text)


def trace_command(argv: list[str]) -> int:
    """`kdash vcpu trace`."""
    parser = guest_parser("vcpu trace", "Run a guest step by step.", TRACE_EPILOG)
    parser.add_argument("--exits", action="store_true", help="exits alone, at full speed")
    arguments = parser.parse_args(argv)

    def carry_out(request: Request) -> int:
        from kdash.commands.vcpu_output import trace

        return trace(request, arguments.exits, received_signal)

    return with_guest(arguments, carry_out)


def caps_command(argv: list[str]) -> int:
    """`kdash vcpu caps`."""
    parser = Parser("vcpu caps", "List KVM's capabilities with name, number, value.", CAPS_EPILOG)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    arguments = parser.parse_args(argv)
    from kdash.backends.kvm.capabilities import list_capabilities
    from kdash.backends.kvm.facts import KvmError

    try:
        found = list_capabilities()
    except KvmError as error:
        return complain(str(error), ExitStatus.ENVIRONMENT)
    if arguments.format == "json":
        items = [{"name": one.name, "number": one.number, "value": one.value} for one in found]
        sys.stdout.write(json.dumps({"capabilities": items}) + "\n")
    else:
        sys.stdout.writelines(f"{one.number:4} {one.value:10} {one.name}\n" for one in found)
    return ExitStatus.OK


# -- arguments


def guest_parser(name: str, description: str, epilog: str) -> Parser:
    """The options that say what guest to run and how long."""
    parser = Parser(name, description, epilog)
    add = parser.add_argument
    add(
        "guest",
        nargs="?",
        metavar="GUEST",
        help="executable, boot image or flat binary; the sample unless given",
    )
    add_guest_options(parser)
    add("--timeout", type=seconds, metavar="S", help="end the run after so many seconds")
    add("--max-steps", type=count, metavar="N", help="step by step, at most N instructions")
    add("--dump", type=span, action="append", default=[], metavar="ADDR:LEN",
        help="print memory at the end; repeatable")  # fmt: skip
    add_stop_options(parser)
    return parser


def add_guest_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what a guest is and how it is started, with a screen or without."""
    add = parser.add_argument
    add("--type", choices=TYPES, help="what GUEST is (by its content)")
    add("--mode", choices=MODES, help="processor mode to start in (that of GUEST)")
    add("--load", type=number, metavar="ADDR", help="where the image is loaded (0x1000)")
    add("--entry", type=place, metavar="ADDR", help="RIP or symbol to start at")
    add("--stack", type=number, metavar="ADDR", help="RSP to start with (0x8000)")
    add("--page-tables", type=number, metavar="ADDR", help="those of long mode (0x10000)")
    add("--symbols", metavar="FILE", help="ELF file or System.map with names of addresses")
    add("--append", metavar="TEXT", help="command line of a multiboot image or Linux kernel")
    add("--initrd", metavar="FILE", help="initial RAM disk of a Linux kernel")
    add("--no-extract", action="store_true", help="let a bzImage unpack itself in the guest")
    add("--memory", type=size, metavar="SIZE", help="RAM (image end + 16M, at least 2M)")
    add("--vcpus", type=count, default=1, metavar="N", help="processors of the guest (1)")
    add("--irqchip", action="store_true",
        help="interrupt controllers and timer (PIC, APICs, PIT) in the kernel")  # fmt: skip
    add("--set", type=assignment, action="append", default=[], metavar="REG=VALUE",
        help="set a register of every VCPU before the start; repeatable")  # fmt: skip
    add("--cpuid", type=cpuid_request, action="append", default=[],
        metavar="host|none|LEAF[:SUB].REG=VALUE",
        help="what CPUID answers: all that KVM supports, 0 to every leaf, or a register of one"
        " leaf as 1.ecx=0x80000000; repeatable, in order (host)")  # fmt: skip
    add("--stdin", metavar="FILE", help="input of the serial port; of a boot sector what is typed")
    add("--device", action="append", default=[], metavar="FILE.py:CLASS",
        help="add a device of your own; repeatable")  # fmt: skip
    add("--engine", choices=("kvm", "emulator", "auto"), default="auto",
        help="what executes the guest (auto: /dev/kvm, else the emulator)")  # fmt: skip


def number(text: str) -> int:
    """A number from 0 to 2**64-1, decimal or 0x...."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise argparse.ArgumentTypeError(f"{text!r} is no number like 4096 or 0x1000")
    return value


def place(text: str) -> int | str:
    """An address, or the name of a symbol."""
    if text[:1].isdigit() or not text:
        return number(text)
    return text


def count(text: str) -> int:
    """A number from 1."""
    value = number(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 is too few; at least 1")
    return value


def size(text: str) -> int:
    """A number of bytes, with K, M or G."""
    shift = _SUFFIXES.get(text[-1:].upper(), 0)
    try:
        value = number(text[:-1] if shift else text) << shift
    except argparse.ArgumentTypeError:
        value = 0
    if not 0 < value < 1 << 48:
        raise argparse.ArgumentTypeError(f"{text!r} is no size like 2M, 64K or 0x200000")
    return value


def seconds(text: str) -> float:
    """A time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value


def assignment(text: str) -> tuple[str, int]:
    """REG=VALUE."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not REG=VALUE, as rax=2")
    from kdash.backends.kvm.registers import check_register

    try:
        check_register(name.lower(), number(value))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name.lower(), number(value)


def cpuid_request(text: str) -> CpuidRequest:
    """host, none, or LEAF[:SUB].REG=VALUE."""
    from kdash.backends.kvm.cpuid_request import parse_request

    try:
        return parse_request(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def span(text: str) -> tuple[int, int]:
    """ADDR:LEN."""
    address, colon, length = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDR:LEN, as 0x2000:16")
    count = size(length)
    if count > DUMP_MAXIMUM:
        raise argparse.ArgumentTypeError(f"{text!r} asks for more than {DUMP_MAXIMUM >> 20} MiB")
    return number(address), count


# -- running


def with_guest(arguments: argparse.Namespace, carry_out: Callable[[Request], int]) -> int:
    """Load the guest of the arguments and carry out the command with it."""
    from kdash.backends.kvm.facts import GuestError, GuestFileError, KvmError

    _signals.clear()
    before = {number_: signal.signal(number_, _remember) for number_ in SIGNALS}
    try:
        return carry_out(request_of(arguments))
    except GuestFileError as error:
        return complain(str(error), ExitStatus.ENVIRONMENT)
    except GuestError as error:
        return complain(str(error), ExitStatus.USAGE)
    except KvmError as error:
        return complain(str(error), ExitStatus.ENVIRONMENT)
    finally:
        for number_, handler in before.items():
            signal.signal(number_, handler)


def request_of(arguments: argparse.Namespace) -> Request:
    """What the arguments ask for.

    Raises:
        GuestError: when the guest or a device can't be loaded like this.
    """
    from kdash.backends.kvm.run import Request
    from kdash.backends.kvm.user_devices import load_device

    guest = guest_of(arguments)
    return Request(
        guest,
        stops=stops_of(arguments, guest.symbols.address),
        registers=dict(arguments.set),
        timeout=arguments.timeout,
        max_steps=arguments.max_steps,
        dumps=tuple(arguments.dump),
        stdin=serial_input(arguments.stdin),
        devices=tuple(load_device(spec) for spec in arguments.device),
        engine=engine_of(arguments.engine),
        record=getattr(arguments, "record", None),
    )


def guest_of(arguments: argparse.Namespace) -> Guest:
    """The guest that the arguments of `add_guest_options` and `guest` ask for.

    Raises:
        GuestError: when it can't be loaded like this.
    """
    from dataclasses import replace

    from kdash.backends.kvm import guests, images
    from kdash.backends.kvm.facts import Mode

    options = images.Options(
        format=images.Format(arguments.type) if arguments.type else None,
        mode=Mode(arguments.mode) if arguments.mode else None,
        load=arguments.load,
        entry=arguments.entry,
        memory=arguments.memory,
        stack=arguments.stack,
        tables=arguments.page_tables,
        symbols=arguments.symbols,
        command_line=arguments.append,
        initrd=arguments.initrd,
        extract=not arguments.no_extract,
        vcpus=arguments.vcpus,
        irqchip=arguments.irqchip,
        cpuid=tuple(arguments.cpuid),
    )
    if arguments.guest is None:
        options = replace(options, registers=guests.ARTICLE_REGISTERS)
        return images.make_guest(guests.ARTICLE_IMAGE, guests.ARTICLE_TITLE, options)
    return images.load_file(arguments.guest, options)


def serial_input(path: str | None) -> bytes:
    """What is in a file, for the serial port; nothing without one.

    Raises:
        GuestError: when it can't be read, or is too large.
    """
    from kdash.backends.kvm.facts import GuestError, GuestFileError

    if path is None:
        return b""
    try:
        with Path(path).open("rb") as file:
            data = file.read(SERIAL_INPUT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise GuestFileError(f"--stdin {path}: {reason}") from None
    if len(data) > SERIAL_INPUT:
        raise GuestError(f"--stdin {path}: more than {SERIAL_INPUT >> 20} MiB of input")
    return data


def engine_of(wanted: str) -> str:
    """The engine for `--engine`; one line on stderr where KVM was hoped for in vain."""
    from kdash.backends.kvm.engines import choose

    choice = choose(wanted)
    if choice.cause:
        remedy = f"; {choice.remedy}" if choice.remedy else ""
        sys.stderr.write(f"kdash vcpu: EMULATED, since {choice.cause}{remedy}\n")
    return choice.engine


_signals: list[int] = []


def _remember(number_: int, _frame: FrameType | None) -> None:
    _signals.append(number_)


def received_signal() -> ExitStatus | None:
    """The exit status of the first signal received, if one was."""
    return SIGNALS[signal.Signals(_signals[0])] if _signals else None


def complain(message: str, status: ExitStatus) -> ExitStatus:
    """One line on stderr."""
    sys.stderr.write(f"kdash vcpu: {one_line(message)}\n")
    return status
