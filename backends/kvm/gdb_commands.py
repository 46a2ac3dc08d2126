"""The commands of the remote serial protocol, carried out on a session.

Source: the GDB manual (GDB 13), appendix E: "Packets", "Stop Reply Packets", "General Query
Packets". A thread is a VCPU, its number the VCPU's index plus 1. RIP is what the VCPU has:
breakpoints are compared with it, memory is read by linear address; where CS has a base the
two differ by it, and the register cs_base tells it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from kdash.backends.kvm.facts import KvmError, RunState, Snapshot
from kdash.backends.kvm.gdb_arguments import PATIENCE, MalformedError, console, number, octets, pair
from kdash.backends.kvm.gdb_monitor import monitor, shown, vcpu_count, vcpu_line
from kdash.backends.kvm.gdb_packets import PACKET_SIZE
from kdash.backends.kvm.gdb_state import StateCommands
from kdash.backends.kvm.gdb_stop_points import Point, StopPoints
from kdash.backends.kvm.gdb_stops import (
    SIGINT,
    SIGTRAP,
    end_signal,
    exit_reply,
    has_ended,
    stop_reply,
)
from kdash.backends.kvm.gdb_target_xml import target_xml
from kdash.backends.kvm.session import VcpuSession

_OK: Final = b"OK"
_UNSUPPORTED: Final = b""
_MALFORMED: Final = b"E16"  # EINVAL
_NO_THREAD: Final = b"E03"  # ESRCH

_FEATURES: Final = (
    b"qXfer:features:read+;QStartNoAckMode+;swbreak+;hwbreak+;vContSupported+;PacketSize=%x"
    % PACKET_SIZE
)


Reply = bytes | list[bytes] | None
#: Gets the arguments of a packet.
Handler = Callable[[bytes], Reply]

#: What may stand behind the name of a packet of several letters, which begins with these.
_ENDS: Final = (b"", b":", b";", b",")
_WORD_LETTERS: Final = (b"q", b"Q", b"v")


@dataclass
class Debugger:
    """What one connected gdb has asked for.

    `answer` gives the packets of the answer; none where the guest goes on: then `running`
    is the future of its stop, and `stopped` tells it.

    Args:
        session: the guest.
        wake: called in the session's thread when `running` is done.
    """

    session: VcpuSession
    wake: Callable[[], None]
    running: Future[Snapshot] | None = None
    acknowledging: bool = True  # cleared by QStartNoAckMode
    extended: bool = False  # the connection outlives the guest's end
    detached: bool = False  # gdb let go: the guest goes on without it
    killed: bool = False  # gdb wants the guest's end
    exited: bool = False  # gdb was told of the guest's end and let go
    interrupted: bool = False
    _end_told: bool = False
    _range: tuple[int, int] | None = None  # stepped through without telling: first and end
    _points: StopPoints = field(init=False)
    _handlers: dict[bytes, Handler] = field(init=False)

    def __post_init__(self) -> None:
        self._points = StopPoints(self.session)
        self._handlers = self._table()

    def answer(self, data: bytes) -> list[bytes]:
        """Carry out the packet with the contents `data`."""
        try:
            return self._answer(data)
        except MalformedError:
            return [_MALFORMED]
        except TimeoutError:
            return [b"E.the VCPU's thread does not answer; a device holds it up"]
        except (ValueError, KvmError) as error:
            return [b"E." + shown(str(error)).encode()]

    def _answer(self, data: bytes) -> list[bytes]:
        name, handler = self._handler(data)
        if handler is None:
            return [_UNSUPPORTED]
        reply = handler(data[len(name) :])
        if reply is None:
            return []
        return reply if isinstance(reply, list) else [reply]

    def _handler(self, data: bytes) -> tuple[bytes, Handler | None]:
        """The name of the packet, and what carries it out."""
        if data[:1] not in _WORD_LETTERS:
            return data[:1], self._handlers.get(data[:1])
        for name, handler in self._handlers.items():
            if data.startswith(name) and data[len(name) : len(name) + 1] in _ENDS:
                return name, handler
        return data, None

    def _table(self) -> dict[bytes, Handler]:
        state = StateCommands(self.session)
        return {
            b"?": self._why,
            b"g": state.read_registers,
            b"G": state.write_registers,
            b"p": state.read_register,
            b"P": state.write_register,
            b"m": state.read_memory,
            b"M": state.write_memory,
            b"X": state.write_binary,
            b"c": self._continue,
            b"C": self._continue_signal,
            b"s": self._step,
            b"S": self._step_signal,
            b"Z": self._insert,
            b"z": self._remove,
            b"H": self._select_thread,
            b"T": self._is_alive,
            b"D": self._detach,
            b"k": self._kill,
            b"R": self._restart,
            b"!": self._extend,
            b"qSupported": self._supported,
            b"QStartNoAckMode": self._no_acks,
            b"qXfer:features:read": self._features,
            b"qAttached": lambda _: b"1",  # quitting gdb lets the guest go on
            b"qSymbol": lambda _: _OK,  # none are wanted
            b"qC": self._current_thread,
            b"qfThreadInfo": self._threads,
            b"qsThreadInfo": lambda _: b"l",
            b"qThreadExtraInfo": self._thread_info,
            b"qRcmd": self._monitor,
            b"vMustReplyEmpty": lambda _: _UNSUPPORTED,
            b"vCont?": lambda _: b"vCont;c;C;s;S;r",
            b"vCont": self._vcont,
        }

    # -- going

    @property
    def going(self) -> bool:
        """Whether the guest goes, or what it did is not yet told."""
        return self.running is not None

    def _go(self, start: Callable[[], Future[Snapshot]], *, single: bool = False) -> Reply:
        if has_ended(self.session.snapshot()) and not self._reviving():
            if not self._end_told:
                return self._tell_end(self.session.snapshot())
            self.exited = not self.extended
            return exit_reply(self.session.snapshot())
        self._range = None
        self._points.place(breakpoints=not single)
        self.interrupted = False
        self._start(start())
        return None

    def _start(self, running: Future[Snapshot]) -> None:
        self.running = running
        running.add_done_callback(lambda _: self.wake())

    def _reviving(self) -> bool:
        """Whether going leads out of an end."""
        return False

    def let_go(self) -> None:
        """Forget where to stop, so that the guest runs without this gdb."""
        self._points.forget()
        for point in self.session.snapshot().stops:
            self.session.remove_stop(point.number)

    def interrupt(self) -> None:
        """Stop the guest, if it goes; `running` is done then."""
        if self.running is not None:
            self.interrupted = True
            self.session.pause()

    def stopped(self) -> list[bytes]:
        """What gdb is told when `running` is done."""
        assert self.running is not None
        done, self.running = self.running, None
        if done.exception() is not None:
            return self._tell_end(self.session.snapshot())
        snapshot = done.result(0)
        if has_ended(snapshot):
            return self._tell_end(snapshot)
        if self._within_range(snapshot):
            self._start(self.session.step())
            return []
        return self._stop(snapshot)

    def _within_range(self, snapshot: Snapshot) -> bool:
        """Whether a step through a range of addresses goes on."""
        if self._range is None or self.interrupted or snapshot.stopped_at:
            return False
        first, end = self._range
        return first <= snapshot.registers.rip < end

    def _stop(self, snapshot: Snapshot) -> list[bytes]:
        reason = self._points.reason(snapshot)
        if reason is not None:
            return [stop_reply(snapshot, SIGTRAP, reason)]
        if snapshot.stopped_at:  # by `monitor catch`, which gdb knows nothing of
            note = console(f"kdash: {shown(snapshot.detail)}\n")
            return [*note, stop_reply(snapshot, SIGTRAP)]
        return [stop_reply(snapshot, SIGINT if self.interrupted else SIGTRAP)]

    def _tell_end(self, snapshot: Snapshot) -> list[bytes]:
        """Stop at the end, so that the last state can be looked at; going on then lets go."""
        self._end_told = True
        cause = snapshot.detail or snapshot.failure.partition("\n")[0]
        note = (
            f"kdash: the guest has ended: {shown(cause)}\n"
            "Its registers and memory are kept; monitor restart loads it anew.\n"
        )
        return [*console(note), stop_reply(snapshot, end_signal(snapshot))]

    def _continue(self, arguments: bytes) -> Reply:
        self._set_rip(arguments)
        return self._go(self.session.run)

    def _step(self, arguments: bytes) -> Reply:
        self._set_rip(arguments)
        return self._go(self.session.step, single=True)

    def _continue_signal(self, arguments: bytes) -> Reply:
        return self._continue(arguments.partition(b";")[2])

    def _step_signal(self, arguments: bytes) -> Reply:
        return self._step(arguments.partition(b";")[2])

    def _set_rip(self, address: bytes) -> None:
        if address:
            self.session.set_register("rip", number(address)).result(PATIENCE)

    def _vcont(self, arguments: bytes) -> Reply:
        """Step the VCPU that shall step, alone; else let all go."""
        actions = [action.partition(b":") for action in arguments.removeprefix(b";").split(b";")]
        for action, _, thread in actions:
            if action[:1] not in b"cCsSr" or not action:
                raise MalformedError
            if action[:1] in b"sSr":
                through = pair(action[1:]) if action[:1] == b"r" else None
                if thread:
                    self._select(thread)
                reply = self._go(self.session.step, single=through is None)
                self._range = through
                return reply
        return self._go(self.session.run)

    def _restart(self, _arguments: bytes) -> Reply:
        self._end_told = False
        self.session.restart().result(PATIENCE)
        return None  # R has no answer

    # -- state

    def _why(self, _arguments: bytes) -> Reply:
        snapshot = self.session.snapshot()
        if has_ended(snapshot):
            return stop_reply(snapshot, end_signal(snapshot))
        signal = SIGINT if self.interrupted else SIGTRAP
        return stop_reply(snapshot, signal)

    # -- where to stop

    def _insert(self, arguments: bytes) -> Reply:
        return self._change_point(arguments, True)

    def _remove(self, arguments: bytes) -> Reply:
        return self._change_point(arguments, False)

    def _change_point(self, arguments: bytes, insert: bool) -> Reply:
        kind, comma, where = arguments.partition(b",")
        if not comma:
            raise MalformedError
        if not self._points.knows(number(kind)):
            return _UNSUPPORTED
        point = Point(number(kind), *pair(where.partition(b";")[0]))
        if insert:
            self._points.insert(point)
        else:
            self._points.remove(point)
        return _OK

    # -- threads

    def _select_thread(self, arguments: bytes) -> Reply:
        if arguments[:1] not in (b"g", b"c"):
            return _UNSUPPORTED
        self._select(arguments[1:])
        return _OK

    def _select(self, thread: bytes) -> None:
        if thread in (b"-1", b"0"):  # all, any
            return
        chosen = number(thread)
        if not 1 <= chosen <= vcpu_count(self.session):
            raise MalformedError
        if chosen - 1 != self.session.snapshot().vcpu:
            self.session.select_vcpu(chosen - 1).result(PATIENCE)

    def _is_alive(self, arguments: bytes) -> Reply:
        return _OK if 1 <= number(arguments) <= vcpu_count(self.session) else _NO_THREAD

    def _current_thread(self, _arguments: bytes) -> Reply:
        return b"QC%x" % (self.session.snapshot().vcpu + 1)

    def _threads(self, _arguments: bytes) -> Reply:
        return b"m" + b",".join(b"%x" % (n + 1) for n in range(vcpu_count(self.session)))

    def _thread_info(self, arguments: bytes) -> Reply:
        thread = number(arguments.removeprefix(b","))
        if not 1 <= thread <= vcpu_count(self.session):
            return _NO_THREAD
        return vcpu_line(self.session.snapshot(), thread - 1).encode().hex().encode()

    # -- queries

    def _supported(self, arguments: bytes) -> Reply:
        understood = arguments.removeprefix(b":").split(b";")
        self._points.understood = frozenset(
            reason for reason in (b"swbreak", b"hwbreak") if reason + b"+" in understood
        )
        return _FEATURES

    def _no_acks(self, _arguments: bytes) -> Reply:
        self.acknowledging = False
        return _OK

    def _features(self, arguments: bytes) -> Reply:
        name, _, span = arguments.removeprefix(b":").partition(b":")
        if name != b"target.xml":
            return b"E00"
        offset, length = pair(span)
        document = target_xml().encode()
        part = document[offset : offset + min(length, PACKET_SIZE - 1)]
        return (b"m" if offset + len(part) < len(document) else b"l") + part

    def _monitor(self, arguments: bytes) -> Reply:
        line = octets(arguments.removeprefix(b",")).decode("utf-8", "replace")
        text = monitor(self.session, line)
        if self.session.snapshot().state is RunState.READY:
            self._end_told = False  # it was restarted
        return [*console(text), _OK]

    # -- the end

    def _extend(self, _arguments: bytes) -> Reply:
        self.extended = True
        return _OK

    def _detach(self, _arguments: bytes) -> Reply:
        self.detached = True
        return _OK

    def _kill(self, _arguments: bytes) -> Reply:
        if self.extended:
            return self._restart(b"")
        self.killed = True
        return None
