"""Carries out the lines of the command prompt of the VCPU pane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from kdash.backends.kvm.facts import RecordingView, RunState, Snapshot, StopKind
from kdash.backends.kvm.stop_requests import Wanted
from kdash.panes import vcpu_words as words
from kdash.panes.vcpu_opening import settings_to_open
from kdash.panes.vcpu_stop_words import (
    Break,
    Delete,
    Ignore,
    StopCommand,
    UntilExit,
    Watch,
)
from kdash.widgets.pane import CommandError
from kdash.widgets.vcpu.memory_lines import Examine

if TYPE_CHECKING:
    from kdash.panes.vcpu import VcpuPane


def carry_out(pane: VcpuPane, line: str) -> str:
    """Carry out one line.

    Returns:
        What to tell the user, empty when the screen says it already.

    Raises:
        CommandError: The line means nothing (see kdash.panes.vcpu_words), no guest is loaded, or
            it has ended.
    """
    word, _, rest = line.strip().partition(" ")
    if word == "open":  # also where no guest is loaded
        open_guest(pane, rest.strip())
        return ""
    session = pane.session
    snapshot = session.snapshot()
    command = words.parse(line, snapshot.registers, session.symbols.address)
    return (
        _go(pane, snapshot, command) or _go_back(pane, command) or _change(pane, snapshot, command)
    )


def _go_back(pane: VcpuPane, command: words.Command) -> str:
    match command:
        case words.Seek(moment):
            assert pane.past is not None  # or CommandError
            _check_moment(pane.session.snapshot().recording, moment)
            pane.seek(moment)
        case words.Save():
            from kdash.panes.vcpu_saving import save

            return save(pane, command)
        case words.Back("run-from-here"):
            return pane.run_from_here()
        case words.Back("reverse-next"):
            pane.follow(pane.past.reverse_next())
        case words.Back("reverse-continue"):
            pane.follow(pane.past.reverse_continue())
        case words.Back(_, count):
            pane.follow(pane.past.step_back(count or pane.step_size))
    return ""


def _check_moment(recording: RecordingView | None, moment: int) -> None:
    if recording is not None and not recording.first <= moment <= recording.last:
        raise CommandError(
            f"seek: moment {moment:,} is not recorded; there are {recording.first:,} to "
            f"{recording.last:,}"
        )


def _go(pane: VcpuPane, snapshot: Snapshot, command: words.Command) -> str:
    match command:
        case words.Step(count):
            return _step(pane, snapshot, count)
        case words.Simple(word):
            _simple(pane, snapshot, word)
        case words.Animate(speed):
            _not_ended(snapshot)
            pane.go_slowly(speed or pane.speed)
        case words.SelectVcpu(index):
            count = max(1, len(snapshot.vcpus))
            if not 0 <= index < count:
                raise CommandError(f"vcpu: no VCPU {index}; there are {count}, from 0")
            pane.select_vcpu(index)
        case words.Until(ip):
            _not_ended(snapshot)
            pane.end_slow()
            pane.follow(pane.session.run_until(ip))
    return ""


def _change(pane: VcpuPane, snapshot: Snapshot, command: words.Command) -> str:
    match command:
        case Break() | Watch() | UntilExit() | Delete() | Ignore():
            return _about_stops(pane, snapshot, command)
        case words.Assign(register, value):
            _assign(pane, register, value)
        case words.ListCode(ip):
            pane.list_code(ip)
        case words.Walk(address):
            pane.walk(address)
        case words.Info(view):
            pane.show_view(pane.VIEWS.index(view))
        case words.Print():
            from kdash.panes.vcpu_printing import show

            show(pane, command)
        case words.Poke(address, data):
            pane.write_memory(address, data)
        case words.Follow(expression):
            follow_memory(pane, expression)
        case Examine() as what:
            pane.examine(what)
    return ""


def _not_ended(snapshot: Snapshot) -> None:
    if snapshot.state is RunState.ENDED:
        how = f" ({snapshot.detail})" if snapshot.detail else ""
        raise CommandError(f"the guest has ended{how}; restart loads it anew")


def _step(pane: VcpuPane, snapshot: Snapshot, count: int | None) -> str:
    if count is not None:
        pane.set_step_size(count)
    _not_ended(snapshot)
    pane.action_step()
    return f"s now does {count:,} steps at once" if count and count > 1 else ""


def _simple(pane: VcpuPane, snapshot: Snapshot, word: str) -> None:
    if word in ("next", "continue"):
        _not_ended(snapshot)
    actions: dict[str, Callable[[], None]] = {
        "next": pane.action_next,
        "continue": pane.action_continue,
        "pause": lambda: _pause(pane),
        "restart": pane.action_restart,
        "reload": pane.reload,
    }
    actions[word]()


def follow_memory(pane: VcpuPane, expression: str) -> None:
    """Let the memory shown follow an expression, or stay where it is."""
    what = pane.memory_shown
    assert what is not None  # since there is a session
    pane.examine(replace(what, follow=expression))


def _pause(pane: VcpuPane) -> None:
    pane.end_slow()
    pane.follow(pane.session.pause())


def _about_stops(pane: VcpuPane, snapshot: Snapshot, command: StopCommand) -> str:
    session = pane.session
    match command:
        case Break(ip, "", False):
            pane.follow(session.add_breakpoint(ip))
        case Break():
            _add(pane, command.wanted(snapshot.registers))
        case Watch(wanted):
            _add(pane, wanted)
            if wanted.kind in (StopKind.WATCH, StopKind.ACCESS):
                return "the guest is stepped while memory is watched, which is slower"
        case UntilExit(exits):
            _not_ended(snapshot)
            pane.end_slow()
            pane.follow(session.run_to_exit(exits.name, exits.port, exits.address))
        case Delete(which):
            return _delete(pane, snapshot, which)
        case Ignore(number, count):
            pane.follow(session.ignore_stop(number, count))
    return ""


def _add(pane: VcpuPane, wanted: Wanted) -> None:
    try:
        pane.follow(pane.session.add_stop(wanted))
    except ValueError as error:
        raise CommandError(str(error)) from None


def _delete(pane: VcpuPane, snapshot: Snapshot, which: int | None) -> str:
    numbers = [one.number for one in snapshot.stops]
    if which is None:
        for number in numbers:
            pane.follow(pane.session.remove_stop(number))
        return f"{len(numbers)} stop points deleted"
    if which in numbers:
        pane.follow(pane.session.remove_stop(which))
    elif which in snapshot.breakpoints:
        pane.follow(pane.session.remove_breakpoint(which))
    else:
        listed = ", ".join(f"{one.number} ({one.where})" for one in snapshot.stops) or "none"
        raise CommandError(
            f"delete: no stop point {which}, nor a breakpoint at {which:#x}; there are: {listed}"
        )
    return ""


def _assign(pane: VcpuPane, register: str, value: int) -> None:
    try:
        pane.set_register(register, value)
    except ValueError as error:
        raise CommandError(f"set: {error}") from None


def open_guest(pane: VcpuPane, line: str) -> None:
    """Load another guest.

    Raises:
        CommandError: The line is wrong, or names no guest.
    """
    try:
        pane.open_guest(settings_to_open(line, pane.settings))
    except ValueError as error:
        raise CommandError(f"open: {error}") from None
    except OSError as error:
        raise CommandError(f"open: {error.filename}: {error.strerror}") from None
