"""`kdash vcpu`: run or trace a guest on /dev/kvm, list what KVM can do."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Final

from kdash.commands.argument_parser import Parser
from kdash.commands.vcpu_guest import guest_of, start_of
from kdash.commands.vcpu_input import serial_input
from kdash.commands.vcpu_parsers import (
    GDB_DANGER,
    caps_parser,
    main_parser,
    run_parser,
    trace_parser,
)
from kdash.commands.vcpu_stdout import kept_from_devices
from kdash.commands.vcpu_stops import stops_of
from kdash.exit_status import ExitStatus
from kdash.widgets.printable import one_line

if TYPE_CHECKING:
    from kdash.backends.kvm.run import Request

SIGNALS: Final = {
    signal.SIGHUP: ExitStatus.SIGHUP,
    signal.SIGINT: ExitStatus.SIGINT,
    signal.SIGTERM: ExitStatus.SIGTERM,
}


def run(argv: list[str]) -> int:
    """Carry out `kdash vcpu ...`; returns the exit status."""
    commands = {"run": run_command, "trace": trace_command, "caps": caps_command}
    if argv and argv[0] in commands:
        return commands[argv[0]](argv[1:])
    main_parser().parse_known_args(argv)
    return ExitStatus.USAGE


def run_command(argv: list[str]) -> int:
    """`kdash vcpu run`."""
    parser = run_parser()
    arguments = parser.parse_args(argv)
    if arguments.gdb is not None:
        refuse_beside_gdb(parser, arguments)
    elif arguments.others:
        parser.error(f"{GDB_DANGER} goes with --gdb")
    elif arguments.recording != "auto":
        parser.error("--recording goes with --gdb; without it --record FILE keeps the steps")
    elif arguments.record_memory is not None and arguments.record is None:
        parser.error("--record-memory goes with --record FILE or --gdb")

    def carry_out(request: Request) -> int:
        from kdash.commands.vcpu_output import json_run, text_run

        if arguments.gdb is not None:
            from kdash.commands.vcpu_gdb import gdb_run

            return gdb_run(
                request, start_of(arguments, request.stdin), arguments.gdb, received_signal
            )
        if arguments.format == "json":
            return json_run(request, arguments.raw_exits, received_signal)
        return text_run(request, arguments.raw_exits, arguments.quiet, received_signal)

    return with_guest(arguments, carry_out)


def refuse_beside_gdb(parser: Parser, arguments: argparse.Namespace) -> None:
    """Options that a run which gdb controls has no use for, and addresses that others reach."""
    from kdash.commands.host_port import others_reach, shown

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
    if not arguments.others and others_reach(arguments.gdb[0]):
        parser.error(
            f"{shown(*arguments.gdb)} is reached from other machines, and gdb gives no password: "
            f"who connects has the guest; ssh -L is safe, {GDB_DANGER} does it all the same"
        )


def trace_command(argv: list[str]) -> int:
    """`kdash vcpu trace`."""
    arguments = trace_parser().parse_args(argv)

    def carry_out(request: Request) -> int:
        from kdash.commands.vcpu_output import trace

        return trace(request, arguments.exits, received_signal)

    return with_guest(arguments, carry_out)


def caps_command(argv: list[str]) -> int:
    """`kdash vcpu caps`."""
    arguments = caps_parser().parse_args(argv)
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


def with_guest(arguments: argparse.Namespace, carry_out: Callable[[Request], int]) -> int:
    """Load the guest of the arguments and carry out the command with it."""
    from kdash.backends.kvm.facts import GuestError, GuestFileError, KvmError

    global _looks  # noqa: PLW0603 - signals are of the process
    _signals.clear()
    _looks = 0
    before = {number_: signal.signal(number_, _remember) for number_ in SIGNALS}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, _end_devices)
    try:
        with kept_from_devices():
            request = request_of(arguments)
            if request.devices and request.timeout is not None:
                signal.setitimer(signal.ITIMER_REAL, request.timeout + GRACE, GRACE)
            return carry_out(request)
    except GuestFileError as error:
        return complain(str(error), received_signal() or ExitStatus.ENVIRONMENT)
    except GuestError as error:
        return complain(str(error), ExitStatus.USAGE)
    except KvmError as error:
        return complain(str(error), ExitStatus.ENVIRONMENT)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number_, handler in before.items():
            signal.signal(number_, handler)


def request_of(arguments: argparse.Namespace) -> Request:
    """What the arguments ask for.

    Raises:
        GuestError: when the guest or a device can't be loaded like this.
    """
    from kdash.backends.kvm.recording import LIMIT
    from kdash.backends.kvm.run import Request
    from kdash.backends.kvm.user_devices import load_device

    guest = guest_of(arguments)
    _check_record(arguments)
    return Request(
        guest,
        stops=stops_of(arguments, guest.symbols.address),
        registers=dict(arguments.set),
        timeout=arguments.timeout,
        max_steps=arguments.max_steps,
        dumps=tuple(arguments.dump),
        stdin=serial_input(arguments.stdin, received_signal, arguments.timeout),
        devices=tuple(load_device(spec) for spec in arguments.device),
        engine=engine_of(arguments.engine),
        record=getattr(arguments, "record", None),
        record_limit=getattr(arguments, "record_memory", None) or LIMIT,
    )


def _check_record(arguments: argparse.Namespace) -> None:
    """Refuse a place for the recording before the guest runs in vain."""
    if getattr(arguments, "record", None) is None:
        return
    from kdash.backends.kvm.places import writable_place

    read = (arguments.symbols, arguments.initrd, arguments.stdin)
    # A recording may go on into its own file.
    guest = arguments.guest if not _is_recording(arguments.guest) else None
    writable_place(arguments.record, [one for one in (guest, *read) if one is not None])


def _is_recording(path: str | None) -> bool:
    from kdash.backends.kvm.images import is_recording

    return path is not None and is_recording(path)


def engine_of(wanted: str) -> str:
    """The engine for `--engine`; one line on stderr where KVM was hoped for in vain."""
    from kdash.backends.kvm.engines import choose

    choice = choose(wanted)
    if choice.cause:
        remedy = f"; {choice.remedy}" if choice.remedy else ""
        sys.stderr.write(f"kdash vcpu: EMULATED, since {choice.cause}{remedy}\n")
    return choice.engine


#: Seconds between looks for devices that don't return, once the run shall end.
GRACE: Final = 0.5
#: Such looks until the program ends without them.
LOOKS: Final = 4
#: Signals within so many seconds are one: of a terminal that closes, of a group.
AT_ONCE: Final = 0.3

_signals: list[int] = []
_first = 0.0  # time of the first one
_looks = 0  # that found a device that did not return


def _remember(number_: int, _frame: FrameType | None) -> None:
    global _first  # noqa: PLW0603 - signals are of the process
    if _signals and time.monotonic() - _first > AT_ONCE:
        os._exit(SIGNALS[signal.Signals(number_)])  # asked twice; nothing may hold this up
    if not _signals:
        _first = time.monotonic()
        if "kdash.backends.kvm.user_devices" in sys.modules:
            signal.setitimer(signal.ITIMER_REAL, GRACE, GRACE)
    _signals.append(number_)


def _end_devices(_number: int, _frame: FrameType | None) -> None:
    """The run should be over: end devices that don't return, or the program if that fails."""
    global _looks  # noqa: PLW0603 - as above
    from kdash.backends.kvm import device_calls

    if not (names := device_calls.hung()):
        return
    _looks += 1
    if _looks > LOOKS:
        os.write(2, f"kdash vcpu: device {', '.join(names)} did not return\n".encode())
        os._exit(received_signal() or ExitStatus.FINDINGS)
    device_calls.end_calls(device_calls.EndedCall if _signals else device_calls.OverdueCall)


def received_signal() -> ExitStatus | None:
    """The exit status of the first signal received, if one was."""
    return SIGNALS[signal.Signals(_signals[0])] if _signals else None


def complain(message: str, status: ExitStatus) -> ExitStatus:
    """One line on stderr."""
    sys.stderr.write(f"kdash vcpu: {one_line(message)}\n")
    return status
