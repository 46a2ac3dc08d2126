"""The commands of the remote serial protocol, carried out on a session.

Source: the GDB manual (GDB 13), appendix E: "Packets", "Stop Reply Packets", "General Query
Packets". A thread is a VCPU. RIP is what the VCPU has and memory is read by linear address;
where CS has a base the two differ by it, and the register cs_base tells it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from kdash.backends.kvm.facts import KvmError, PastError, RunState, Snapshot
from kdash.backends.kvm.gdb_arguments import MalformedError, console, octets, pair
from kdash.backends.kvm.gdb_going import Going, Reply
from kdash.backends.kvm.gdb_monitor import monitor, shown
from kdash.backends.kvm.gdb_packets import PACKET_SIZE
from kdash.backends.kvm.gdb_state import StateCommands
from kdash.backends.kvm.gdb_target_xml import target_xml
from kdash.backends.kvm.gdb_threads import ThreadCommands
from kdash.backends.kvm.session import VcpuSession

_OK: Final = b"OK"
_UNSUPPORTED: Final = b""
_MALFORMED: Final = b"E16"  # EINVAL

_FEATURES: Final = (
    b"qXfer:features:read+;QStartNoAckMode+;swbreak+;hwbreak+;vContSupported+;PacketSize=%x"
    % PACKET_SIZE
)
_REVERSE: Final = b";ReverseStep+;ReverseContinue+"

#: Gets the arguments of a packet.
Handler = Callable[[bytes], Reply]

#: What may stand behind the name of a packet of several letters, which begins with these.
_ENDS: Final = (b"", b":", b";", b",")
_WORD_LETTERS: Final = (b"q", b"Q", b"v")


class Debugger:
    """What one connected gdb has asked for.

    `answer` gives the packets of the answer; none where the guest goes on: then `running`
    is the future of its stop, and `stopped` tells it.

    Args:
        session: the guest.
        wake: called in the session's thread when `running` is done.
    """

    def __init__(self, session: VcpuSession, wake: Callable[[], None]) -> None:
        self._session = session
        self._threads = ThreadCommands(session)
        self._going = Going(session, wake, self._threads.select)
        self._handlers = self._table()
        self.acknowledging = True  # cleared by QStartNoAckMode
        self._extended = False  # the connection outlives the guest's end
        self.detached = False  # gdb let go: the guest goes on without it
        self.killed = False  # gdb wants the guest's end

    @property
    def running(self) -> Future[Snapshot] | None:
        """The stop that is waited for; None: the guest stands still, and gdb knows."""
        return self._going.running

    @property
    def going(self) -> bool:
        """Whether the guest goes, or what it did is not yet told."""
        return self._going.running is not None

    @property
    def exited(self) -> bool:
        """Whether gdb was told of the guest's end and let go of it."""
        return self._going.exited and not self._extended

    def stopped(self) -> list[bytes]:
        """What gdb is told when `running` is done."""
        return self._going.stopped()

    def interrupt(self) -> None:
        """Stop the guest, if it goes; `running` is done then."""
        self._going.interrupt()

    def let_go(self) -> None:
        """Forget where to stop, so that the guest runs without this gdb."""
        self._going.let_go()

    def answer(self, data: bytes) -> list[bytes]:
        """Carry out the packet with the contents `data`."""
        try:
            return self._answer(data)
        except MalformedError:
            return [_MALFORMED]
        except TimeoutError:
            return [b"E.the VCPU's thread does not answer; a device holds it up"]
        except PastError as error:
            advice = "monitor resume-here makes this moment the guest's state"
            return [f"E.{shown(str(error))}; {advice}".encode()]
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
        state, threads, going = StateCommands(self._session), self._threads, self._going
        return {
            b"?": going.why,
            b"c": going.continue_,
            b"C": going.continue_signal,
            b"s": going.step,
            b"S": going.step_signal,
            b"b": going.reverse,
            b"vCont?": going.vcont_actions,
            b"vCont": going.vcont,
            b"R": going.restart,
            b"Z": going.insert,
            b"z": going.remove,
            b"g": state.read_registers,
            b"G": state.write_registers,
            b"p": state.read_register,
            b"P": state.write_register,
            b"m": state.read_memory,
            b"M": state.write_memory,
            b"X": state.write_binary,
            b"H": threads.set_thread,
            b"T": threads.is_alive,
            b"qC": threads.current,
            b"qfThreadInfo": threads.first,
            b"qsThreadInfo": threads.more,
            b"qThreadExtraInfo": threads.info,
            b"qSupported": self._supported,
            b"QStartNoAckMode": self._no_acks,
            b"qXfer:features:read": self._features,
            b"qAttached": lambda _: b"1",  # quitting gdb lets the guest go on
            b"qSymbol": lambda _: _OK,  # none are wanted
            b"qRcmd": self._command,
            b"vMustReplyEmpty": lambda _: _UNSUPPORTED,
            b"!": self._extend,
            b"D": self._detach,
            b"k": self._kill,
        }

    # -- queries

    def _supported(self, arguments: bytes) -> Reply:
        understood = arguments.removeprefix(b":").split(b";")
        self._going.points.understood = frozenset(
            reason for reason in (b"swbreak", b"hwbreak") if reason + b"+" in understood
        )
        return _FEATURES if self._session.snapshot().unrecorded else _FEATURES + _REVERSE

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

    def _command(self, arguments: bytes) -> Reply:
        line = octets(arguments.removeprefix(b",")).decode("utf-8", "replace")
        text = monitor(self._session, self._going, line)
        if self._session.snapshot().state is RunState.READY:
            self._going.end_told = False  # it was restarted
        return [*console(text), _OK]

    # -- the end

    def _extend(self, _arguments: bytes) -> Reply:
        self._extended = True
        return _OK

    def _detach(self, _arguments: bytes) -> Reply:
        self.detached = True
        return _OK

    def _kill(self, _arguments: bytes) -> Reply:
        if self._extended:
            return self._going.restart(b"")
        self.killed = True
        return None
