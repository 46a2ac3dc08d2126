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
from kdash.backends.kvm.gdb_monitor import monitor, shown, vcpu_count, vcpu_line
from kdash.backends.kvm.gdb_packets import PACKET_SIZE
from kdash.backends.kvm.gdb_registers import (
    all_registers,
    hexadecimal,
    is_fpu,
    register_bytes,
    write_registers,
)
from kdash.backends.kvm.gdb_stops import (
    SIGINT,
    SIGTRAP,
    end_signal,
    exit_reply,
    has_ended,
    stop_reply,
)
from kdash.backends.kvm.gdb_target_xml import NUMBERS, REGISTERS, target_xml
from kdash.backends.kvm.session import VcpuSession

_OK: Final = b"OK"
_UNSUPPORTED: Final = b""
_NO_MEMORY: Final = b"E0e"  # EFAULT
_MALFORMED: Final = b"E16"  # EINVAL
_NO_THREAD: Final = b"E03"  # ESRCH

#: Bytes of memory an `m` answer holds: two digits each, in one packet.
_MOST: Final = PACKET_SIZE // 2
#: Digits of a number in a packet: 64 bits.
_DIGITS: Final = 16
_CONSOLE: Final = 1024  # characters in one O packet
_FEATURES: Final = (
    b"qXfer:features:read+;QStartNoAckMode+;swbreak+;hwbreak+;vContSupported+;PacketSize=%x"
    % PACKET_SIZE
)


class MalformedError(Exception):
    """A packet whose arguments make no sense."""


@dataclass
class Debugger:
    """What one connected gdb has asked for.

    `answer` gives the packets of the answer; none where the guest goes on: then `running`
    is the future of its stop, and `stopped` tells it.

    Args:
        session: the guest.
    """

    session: VcpuSession
    running: Future[Snapshot] | None = None
    acknowledging: bool = True  # cleared by QStartNoAckMode
    extended: bool = False  # the connection outlives the guest's end
    detached: bool = False  # gdb let go: the guest goes on without it
    killed: bool = False  # gdb wants the guest's end
    exited: bool = False  # gdb was told of the guest's end and let go
    interrupted: bool = False
    _breakpoints: dict[int, bytes] = field(default_factory=dict)  # b"swbreak" or b"hwbreak"
    _reasons: frozenset[bytes] = frozenset()  # of those, what gdb understands
    _end_told: bool = False

    def answer(self, data: bytes) -> list[bytes]:
        """Carry out the packet with the contents `data`."""
        try:
            return self._answer(data)
        except MalformedError:
            return [_MALFORMED]
        except (ValueError, KvmError, TimeoutError) as error:
            return [b"E." + shown(str(error)).encode()]

    def _answer(self, data: bytes) -> list[bytes]:
        name, handler = self._handler(data)
        if handler is None:
            return [_UNSUPPORTED]
        reply = handler(data[len(name) :])
        if reply is None:
            return []
        return reply if isinstance(reply, list) else [reply]

    def _handler(self, data: bytes) -> tuple[bytes, Callable[[bytes], Reply] | None]:
        for name, method in _WORDS.items():
            if data.startswith(name) and data[len(name) : len(name) + 1] in _ENDS:
                return name, getattr(self, method)
        if data[:1] in _WORD_LETTERS:
            return data, None
        method = _LETTERS.get(data[:1], "")
        return data[:1], getattr(self, method) if method else None

    # -- going

    @property
    def going(self) -> bool:
        """Whether the guest goes, or what it did is not yet told."""
        return self.running is not None

    def _go(self, start: Callable[[], Future[Snapshot]]) -> Reply:
        if has_ended(self.session.snapshot()) and not self._reviving():
            if not self._end_told:
                return self._tell_end(self.session.snapshot())
            self.exited = not self.extended
            return exit_reply(self.session.snapshot())
        self._place_breakpoints()
        self.interrupted = False
        self.running = start()
        return None

    def _reviving(self) -> bool:
        """Whether going leads out of an end."""
        return False

    def _place_breakpoints(self) -> None:
        """Bring the session's breakpoints to what gdb wants now; it changes them at each stop."""
        placed = self.session.snapshot().breakpoints
        wanted = self._breakpoints.keys()
        for address in placed - wanted:
            self.session.remove_breakpoint(address)
        for address in wanted - placed:
            self.session.add_breakpoint(address)

    def let_go(self) -> None:
        """Forget the breakpoints, so that the guest runs without this gdb."""
        self._breakpoints.clear()
        self._place_breakpoints()

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
        snapshot = done.result()
        if has_ended(snapshot):
            return self._tell_end(snapshot)
        return [self._stop(snapshot)]

    def _stop(self, snapshot: Snapshot) -> bytes:
        kind = self._breakpoints.get(snapshot.registers.rip)
        if kind is not None:
            return stop_reply(snapshot, SIGTRAP, kind + b":;" if kind in self._reasons else b"")
        return stop_reply(snapshot, SIGINT if self.interrupted else SIGTRAP)

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
        return self._go(self.session.step)

    def _continue_signal(self, arguments: bytes) -> Reply:
        return self._continue(arguments.partition(b";")[2])

    def _step_signal(self, arguments: bytes) -> Reply:
        return self._step(arguments.partition(b";")[2])

    def _set_rip(self, address: bytes) -> None:
        if address:
            self.session.set_register("rip", number(address)).result()

    def _vcont_actions(self, _arguments: bytes) -> Reply:
        return b"vCont;c;C;s;S"

    def _vcont(self, arguments: bytes) -> Reply:
        """Step the VCPU that shall step, alone; else let all go."""
        actions = [action.partition(b":") for action in arguments.removeprefix(b";").split(b";")]
        for action, _, thread in actions:
            if action[:1] not in b"cCsS" or not action:
                raise MalformedError
            if action[:1] in b"sS":
                if thread:
                    self._select(thread)
                return self._go(self.session.step)
        return self._go(self.session.run)

    def _restart(self, _arguments: bytes) -> Reply:
        self._end_told = False
        self.session.restart().result()
        return None  # R has no answer

    # -- state

    def _why(self, _arguments: bytes) -> Reply:
        snapshot = self.session.snapshot()
        if has_ended(snapshot):
            return stop_reply(snapshot, end_signal(snapshot))
        signal = SIGINT if self.interrupted else SIGTRAP
        return stop_reply(snapshot, signal)

    def _read_registers(self, _arguments: bytes) -> Reply:
        return all_registers(self.session.snapshot().registers, self.session.fpu().result())

    def _write_registers(self, arguments: bytes) -> Reply:
        digits, at, values = arguments, 0, {}
        for place, register in enumerate(REGISTERS):
            part = digits[at : at + 2 * register.size]
            at += 2 * register.size
            if part and b"x" not in part:
                values[place] = octets(part, register.size)
        write_registers(self.session, values)
        return _OK

    def _read_register(self, arguments: bytes) -> Reply:
        place = number(arguments)
        if place >= len(REGISTERS):
            return _MALFORMED
        fpu = self.session.fpu().result() if is_fpu(place) else None
        value = register_bytes(place, self.session.snapshot().registers, fpu)
        return hexadecimal(value, place)

    def _write_register(self, arguments: bytes) -> Reply:
        name, _, digits = arguments.partition(b"=")
        place = number(name)
        if place >= len(REGISTERS):
            return _MALFORMED
        write_registers(self.session, {place: octets(digits, REGISTERS[place].size)})
        return _OK

    def _read_memory(self, arguments: bytes) -> Reply:
        address, length = pair(arguments)
        data = self.session.read_memory(address, min(length, _MOST))
        return data.hex().encode() if data or not length else _NO_MEMORY

    def _write_memory(self, arguments: bytes) -> Reply:
        where, _, digits = arguments.partition(b":")
        address, length = pair(where)
        return self._write(address, octets(digits, length))

    def _write_binary(self, arguments: bytes) -> Reply:
        where, _, data = arguments.partition(b":")
        address, length = pair(where)
        if len(data) != length:
            raise MalformedError
        return self._write(address, data)

    def _write(self, address: int, data: bytes) -> Reply:
        written = self.session.write_memory(address, data).result()
        return _OK if written == len(data) else _NO_MEMORY

    # -- where to stop

    def _insert(self, arguments: bytes) -> Reply:
        return self._change_breakpoint(arguments, True)

    def _remove(self, arguments: bytes) -> Reply:
        return self._change_breakpoint(arguments, False)

    def _change_breakpoint(self, arguments: bytes, insert: bool) -> Reply:
        """They are compared with RIP beside the guest's memory, which is never changed."""
        kind, comma, where = arguments.partition(b",")
        if not comma:
            raise MalformedError
        reason = {b"0": b"swbreak", b"1": b"hwbreak"}.get(kind)
        if reason is None:
            return _UNSUPPORTED
        address, _ = pair(where.partition(b";")[0])
        if insert:
            self._breakpoints[address] = reason
        else:
            self._breakpoints.pop(address, None)
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
            self.session.select_vcpu(chosen - 1).result()

    def _is_alive(self, arguments: bytes) -> Reply:
        return _OK if 1 <= number(arguments) <= vcpu_count(self.session) else _NO_THREAD

    def _current_thread(self, _arguments: bytes) -> Reply:
        return b"QC%x" % (self.session.snapshot().vcpu + 1)

    def _threads(self, _arguments: bytes) -> Reply:
        return b"m" + b",".join(b"%x" % (n + 1) for n in range(vcpu_count(self.session)))

    def _no_more_threads(self, _arguments: bytes) -> Reply:
        return b"l"

    def _thread_info(self, arguments: bytes) -> Reply:
        thread = number(arguments.removeprefix(b","))
        if not 1 <= thread <= vcpu_count(self.session):
            return _NO_THREAD
        return vcpu_line(self.session.snapshot(), thread - 1).encode().hex().encode()

    # -- queries

    def _supported(self, arguments: bytes) -> Reply:
        understood = arguments.removeprefix(b":").split(b";")
        self._reasons = frozenset(
            reason for reason in (b"swbreak", b"hwbreak") if reason + b"+" in understood
        )
        return _FEATURES

    def _no_acks(self, _arguments: bytes) -> Reply:
        self.acknowledging = False
        return _OK

    def _attached(self, _arguments: bytes) -> Reply:
        return b"1"  # quitting gdb lets the guest go on

    def _symbols(self, _arguments: bytes) -> Reply:
        return _OK  # none are wanted

    def _features(self, arguments: bytes) -> Reply:
        name, _, span = arguments.removeprefix(b":").partition(b":")
        if name != b"target.xml":
            return b"E00"
        offset, length = pair(span)
        document = target_xml().encode()
        part = document[offset : offset + min(length, PACKET_SIZE - 1)]
        return (b"m" if offset + len(part) < len(document) else b"l") + part

    def _monitor(self, arguments: bytes) -> Reply:
        line = octets(arguments.removeprefix(b","), None).decode("utf-8", "replace")
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

    def _must_reply_empty(self, _arguments: bytes) -> Reply:
        return _UNSUPPORTED


Reply = bytes | list[bytes] | None

#: What may stand behind the name of a packet of several letters.
_ENDS: Final = (b"", b":", b";", b",")
_WORD_LETTERS: Final = (b"q", b"Q", b"v")
_WORDS: Final = {
    b"qSupported": "_supported",
    b"QStartNoAckMode": "_no_acks",
    b"qXfer:features:read": "_features",
    b"qAttached": "_attached",
    b"qSymbol": "_symbols",
    b"qC": "_current_thread",
    b"qfThreadInfo": "_threads",
    b"qsThreadInfo": "_no_more_threads",
    b"qThreadExtraInfo": "_thread_info",
    b"qRcmd": "_monitor",
    b"vMustReplyEmpty": "_must_reply_empty",
    b"vCont?": "_vcont_actions",
    b"vCont": "_vcont",
}
_LETTERS: Final = {
    b"?": "_why",
    b"g": "_read_registers",
    b"G": "_write_registers",
    b"p": "_read_register",
    b"P": "_write_register",
    b"m": "_read_memory",
    b"M": "_write_memory",
    b"X": "_write_binary",
    b"c": "_continue",
    b"C": "_continue_signal",
    b"s": "_step",
    b"S": "_step_signal",
    b"Z": "_insert",
    b"z": "_remove",
    b"H": "_select_thread",
    b"T": "_is_alive",
    b"D": "_detach",
    b"k": "_kill",
    b"R": "_restart",
    b"!": "_extend",
}
assert len(NUMBERS) == len(REGISTERS)


def console(text: str) -> list[bytes]:
    """O packets with `text`, which gdb prints."""
    return [
        b"O" + text[at : at + _CONSOLE].encode().hex().encode()
        for at in range(0, len(text), _CONSOLE)
    ]


def number(digits: bytes) -> int:
    """A number of hexadecimal digits, at most 64 bits.

    Raises:
        MalformedError: when it is something else.
    """
    if not 1 <= len(digits) <= _DIGITS or not digits.isalnum():
        raise MalformedError
    try:
        return int(digits, 16)
    except ValueError:
        raise MalformedError from None


def pair(arguments: bytes) -> tuple[int, int]:
    """Two numbers with a comma between.

    Raises:
        MalformedError: when it is something else.
    """
    first, _, second = arguments.partition(b",")
    return number(first), number(second)


def octets(digits: bytes, length: int | None) -> bytes:
    """Bytes from two digits each.

    Raises:
        MalformedError: when they are something else, or not `length` bytes.
    """
    try:
        data = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        raise MalformedError from None
    if length is not None and len(data) != length:
        raise MalformedError
    return data
