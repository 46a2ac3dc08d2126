"""The gdb server and clients that behave, misbehave and disappear."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdash.backends.kvm import gdb_registers, gdb_server
from kdash.backends.kvm.facts import Mode, RunState
from kdash.backends.kvm.gdb_connection import WAITING
from kdash.backends.kvm.gdb_packets import PACKET_SIZE
from kdash.backends.kvm.gdb_server import GdbServer, ServeEnd
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.user_devices import DeviceClass

from .gdb_client import WAIT, Client, Served, packet

pytestmark = pytest.mark.kvm

SPIN = "ebfe"
COUNT = "40 ebfd"  # inc ax; jmp
HALT = "90 f4"
SUPPORTED = b"qSupported:swbreak+;hwbreak+"

Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    opened: list[Served] = []

    def build(code: str, **options: Any) -> Served:
        engine = options.pop("engine", "kvm")
        session = VcpuSession(flat(bytes.fromhex(code), "test guest", **options), engine=engine)
        opened.append(Served(session))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


def rip_of(reply: bytes) -> int:
    """RIP of a stop reply or of all registers."""
    fields = dict(part.partition(b":")[::2] for part in reply[3:].split(b";"))
    return int.from_bytes(bytes.fromhex(fields[b"10"].decode()), "little")


# -- conversation


def test_a_client_is_told_where_the_guest_is(serve: Serve) -> None:
    with serve(SPIN).client() as client:
        assert b"PacketSize=4000" in client.ask(SUPPORTED)
        reply = client.ask(b"?")
        assert reply.startswith(b"T05")
        assert rip_of(reply) == 0x1000
        assert b"thread:1;" in reply


def test_packets_are_acknowledged_until_the_client_asks_not_to(serve: Serve) -> None:
    with serve(SPIN).client() as client:
        client.socket.sendall(packet(b"qC") + b"$qC#00")
        assert client.socket.recv(1, socket.MSG_PEEK) == b"+"
        assert client.receive() == b"QC1"
        assert client.ask(b"QStartNoAckMode") == b"OK"
        client.socket.sendall(b"$qC#00" + packet(b"qAttached"))
        assert client.receive() == b"1"


def test_an_answer_is_sent_again_when_the_client_says_it_was_damaged(serve: Serve) -> None:
    with serve(SPIN).client() as client:
        client.send(b"qC")
        assert client.socket.recv(100).removeprefix(b"+") in (b"", packet(b"QC1"))
        client.socket.sendall(b"-")
        assert client.receive() == b"QC1"


@pytest.mark.parametrize(
    "name", [b"vMustReplyEmpty", b"qNoSuchThing", b"vFlashErase:0,1", b"j", b"QX"]
)
def test_what_is_not_known_is_answered_by_an_empty_packet(serve: Serve, name: bytes) -> None:
    with serve(SPIN).client() as client:
        assert client.ask(name) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"m", b"m1000", b"m1000,", b"mxyz,1", b"m-1,4", b"m11111111111111111,1",
        b"M1000,2:00", b"M1000,1:zz", b"X1000,5:ab", b"p", b"p1000", b"P10", b"P10=zz", b"P10=00",
        b"Z0", b"Z0,", b"Z0,1000", b"z1,g,1", b"Hgfoo", b"Hg9", b"Tzz", b"vCont;", b"vCont;x",
        b"qXfer:features:read:target.xml:0", b"qXfer:features:read:other.xml:0,10",
        b"qThreadExtraInfo", b"qRcmd,zz", b"G0", b"cq", b"T5",
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_an_error_and_the_talk_goes_on(
    serve: Serve, data: bytes
) -> None:
    with serve(SPIN).client() as client:
        assert client.ask(data)[:1] == b"E"
        assert client.ask(b"qC") == b"QC1"


def test_memory_is_read_and_written(serve: Serve) -> None:
    with serve(SPIN).client() as client:
        assert client.ask(b"m1000,2") == b"ebfe"
        assert client.ask(b"M2000,3:0102fF") == b"OK"
        assert client.ask(b"X2003,2:\x7d\x03\x7d\x5d") == b"OK"  # escaped # and }
        assert client.ask(b"m2000,5") == b"0102ff237d"
        assert client.ask(b"X2000,0:") == b"OK"
        assert client.ask(b"m2000,0") == b""


def test_the_code_at_rip_is_read_as_it_is_now(serve: Serve) -> None:
    with serve("b83412 ebfe").client() as client:
        assert client.ask(b"m1000,1") == b"b8"
        assert client.ask(b"m1001,2") == b"3412"
        assert client.ask(b"m1001,3") == b"3412eb"
        assert client.ask(b"M1001,1:ff") == b"OK"
        assert client.ask(b"m1000,3") == b"b8ff12"
        client.ask(b"s")
        assert client.ask(b"m1003,2") == b"ebfe"


def test_memory_that_is_not_there_is_an_error(serve: Serve) -> None:
    with serve(SPIN, mode=Mode.LONG).client() as client:
        assert client.ask(b"m%x,4" % (1 << 40)) == b"E0e"
        assert client.ask(b"M%x,1:00" % (1 << 40)) == b"E0e"
        end = (1 << 30) - 0x1000
        assert client.ask(b"m%x,2" % end) == b"E0e"  # mapped, but no memory


def test_a_read_across_the_end_of_memory_gives_what_is_there(serve: Serve) -> None:
    with serve(SPIN, memory=2 << 20).client() as client:
        assert client.ask(b"m1ffffc,10") == b"00000000"


def test_registers_are_read_and_written_one_by_one_and_all_at_once(serve: Serve) -> None:
    with serve(SPIN).client() as client:
        assert client.ask(b"P0=8877665544332211") == b"OK"
        assert client.ask(b"p0") == b"8877665544332211"
        everything = client.ask(b"g")
        assert everything.startswith(b"8877665544332211")
        assert client.ask(b"G" + b"01" + everything[2:]) == b"OK"
        assert client.ask(b"g") == b"01" + everything[2:]


def test_floating_point_registers_are_written(serve: Serve) -> None:
    with serve(SPIN).client() as client:
        values = {
            b"18": b"11" * 10,
            b"20": b"7f020000",
            b"28": b"22" * 16,
            b"38": b"801f0000",
            b"24": b"78563412",
        }
        for name, value in values.items():
            assert client.ask(b"P" + name + b"=" + value) == b"OK"
            assert client.ask(b"p" + name) == value
        assert client.ask(b"P22=fcff0000") == b"OK"  # register 0 is in use; what it holds
        assert client.ask(b"p22") == b"feff0000"  # says that it is a special value
        assert client.ask(b"P20=00000100").startswith(b"E.fctrl: ")


def test_a_register_that_kvm_refuses_says_why(serve: Serve) -> None:
    with serve(SPIN).client() as client:
        assert client.ask(b"P12=00000100").startswith(b"E.cs: 0x10000 does not fit 16 bits")


def test_the_emulator_answers_like_kvm(serve: Serve) -> None:
    with serve(SPIN, engine="emulator").client() as client:
        assert client.ask(b"P28=" + b"5a" * 16) == b"OK"
        assert client.ask(b"p28") == b"5a" * 16
        assert client.ask(b"p20") == b"7f030000"
        assert rip_of(client.ask(b"vCont;s:1")) == 0x1000


# -- going


def test_a_step_and_a_breakpoint_stop_the_guest(serve: Serve) -> None:
    with serve("40 40 40 40 f4").client() as client:
        client.ask(SUPPORTED)
        assert rip_of(client.ask(b"s")) == 0x1001
        assert client.ask(b"Z0,1003,1") == b"OK"
        reply = client.ask(b"vCont;c")
        assert (rip_of(reply), b"swbreak:;" in reply) == (0x1003, True)
        assert client.ask(b"m1003,1") == b"40"


def test_a_hardware_breakpoint_says_so_to_who_understands_it(serve: Serve) -> None:
    served = serve("40 40 ebfc")
    with served.client() as client:
        client.ask(SUPPORTED)
        client.ask(b"Z1,1002,1")
        assert b"hwbreak:;" in client.ask(b"c")
        assert client.ask(b"z1,1002,1") == b"OK"
        assert client.ask(b"Z1,1001,1") == b"OK"
        assert rip_of(client.ask(b"c")) == 0x1001
    with served.client() as client:
        client.ask(b"qSupported")
        client.ask(b"Z1,1002,1")
        assert b"hwbreak" not in client.ask(b"c")


def test_going_on_from_an_address_sets_rip(serve: Serve) -> None:
    with serve("40 40 40 40 ebfe").client() as client:
        assert rip_of(client.ask(b"s1002")) == 0x1003
        assert rip_of(client.ask(b"S05;1000")) == 0x1001


def test_a_range_is_stepped_through_until_it_is_left(serve: Serve) -> None:
    with serve("b90900 49 75fd 90 90 ebfe").client() as client:  # dec cx; jnz; nop at 0x1006
        assert rip_of(client.ask(b"vCont;r1000,1006:1;c")) == 0x1006
        client.ask(b"Z0,1007,1")
        assert rip_of(client.ask(b"vCont;r1006,2000:1")) == 0x1007
        assert client.ask(b"vCont;r1006:1") == b"E16"


def test_a_range_that_is_never_left_is_interrupted(serve: Serve) -> None:
    served = serve(SPIN)
    with served.client() as client:
        client.send(b"vCont;r1000,1002")
        until(lambda: served.session.snapshot().steps > 10)
        client.socket.sendall(b"\x03")
        assert client.receive().startswith(b"T02")


def test_exits_that_were_caught_are_forgotten_with_the_client(serve: Serve) -> None:
    served = serve("e680 ebfc")
    with served.client() as client:
        client.send(b"qRcmd," + b"catch IO".hex().encode())
        assert [client.receive()[:1], client.receive()] == [b"O", b"OK"]
        assert client.ask(b"c")[:1] == b"O"
        assert rip_of(client.receive()) == 0x1002
        assert client.ask(b"D") == b"OK"
    until(lambda: served.session.snapshot().exits_total > 3)


def test_a_spinning_guest_is_interrupted(serve: Serve) -> None:
    served = serve(SPIN)
    with served.client() as client:
        client.send(b"vCont;c")
        until(lambda: served.session.snapshot().state is RunState.RUNNING)
        client.socket.sendall(b"\x03")
        reply = client.receive()
        assert (reply[:3], rip_of(reply)) == (b"T02", 0x1000)


def test_an_interrupt_of_a_stopped_guest_is_nothing(serve: Serve) -> None:
    with serve(SPIN).client() as client:
        client.socket.sendall(b"\x03\x03")
        assert client.ask(b"qC") == b"QC1"


def test_packets_that_come_while_the_guest_runs_wait_for_its_stop(serve: Serve) -> None:
    served = serve(SPIN)
    with served.client() as client:
        client.send(b"c")
        until(lambda: served.session.snapshot().state is RunState.RUNNING)
        client.send(b"qC")
        client.socket.sendall(b"\x03")
        assert client.receive().startswith(b"T02")
        assert client.receive() == b"QC1"


def test_the_guests_end_is_a_stop_and_going_on_lets_it_go(serve: Serve) -> None:
    served = serve(HALT)
    with served.client() as client:
        note = client.ask(b"c")
        assert b"HLT at 0x1001" in bytes.fromhex(note[1:].decode())
        assert client.receive().startswith(b"T0f")
        assert client.ask(b"m1001,1") == b"f4"
        assert client.ask(b"?").startswith(b"T0f")
        assert client.ask(b"c") == b"W00"
        assert client.closed()
    assert served.finish() is ServeEnd.GUEST


@pytest.mark.parametrize(
    ("code", "mode", "signal", "end"),
    [
        ("b003 e6f4 f4", Mode.REAL, b"T0f", b"W03"),  # out 0xf4, al
        ("0f0b", Mode.PROTECTED, b"T0b", b"X0b"),  # ud2 without an IDT: triple fault
    ],
)
def test_the_kind_of_end_is_told(
    serve: Serve, code: str, mode: Mode, signal: bytes, end: bytes
) -> None:
    with serve(code, mode=mode).client() as client:
        client.send(b"c")
        assert client.receive()[:1] == b"O"
        assert client.receive()[:3] == signal
        assert client.ask(b"s") == end


def test_an_extended_client_may_run_the_guest_again(serve: Serve) -> None:
    served = serve(HALT)
    with served.client() as client:
        assert client.ask(b"!") == b"OK"
        for _ in range(2):
            client.send(b"c")
            assert client.receive()[:1] == b"O"
            assert client.receive()[:3] == b"T0f"
            assert client.ask(b"c") == b"W00"
            client.send(b"R00")
            assert rip_of(client.ask(b"?")) == 0x1000
        client.send(b"k")
        assert rip_of(client.ask(b"?")) == 0x1000


def test_monitor_restarts_a_guest_that_has_ended(serve: Serve) -> None:
    with serve(HALT).client() as client:
        client.ask(b"c")
        assert client.receive()[:3] == b"T0f"
        client.send(b"qRcmd," + b"restart".hex().encode())
        assert client.receive()[:1] == b"O"
        assert client.receive() == b"OK"
        assert rip_of(client.ask(b"s")) == 0x1001


def test_threads_are_vcpus(serve: Serve) -> None:
    with serve(SPIN).client() as client:
        assert client.ask(b"qfThreadInfo") == b"m1"
        assert client.ask(b"qsThreadInfo") == b"l"
        assert client.ask(b"T1") == b"OK"
        assert client.ask(b"Hg1") == b"OK"
        assert client.ask(b"Hc-1") == b"OK"
        told = bytes.fromhex(client.ask(b"qThreadExtraInfo,1").decode()).decode()
        assert told == "VCPU 0: ready, real mode, 16-bit code, at 0x1000"


# -- parting


def test_killing_ends_the_server(serve: Serve) -> None:
    served = serve(SPIN)
    with served.client() as client:
        client.send(b"k")
        assert client.closed()
    assert served.finish() is ServeEnd.KILLED


def test_a_detached_guest_runs_on_without_breakpoints_to_its_end(serve: Serve) -> None:
    served = serve("90 90 f4")
    with served.client() as client:
        client.ask(b"Z0,1001,1")
        assert rip_of(client.ask(b"c")) == 0x1001
        assert client.ask(b"D") == b"OK"
        assert client.closed()
    assert served.finish() is ServeEnd.GUEST
    assert served.session.snapshot().registers.rip == 0x1003


def test_connecting_again_stops_a_guest_that_runs_on(serve: Serve) -> None:
    served = serve(COUNT)
    with served.client() as client:
        client.ask(b"D")
    until(lambda: served.session.snapshot().state is RunState.RUNNING)
    with served.client() as client:
        assert client.ask(b"?").startswith(b"T05")
        before = client.ask(b"p0")
        assert client.ask(b"p0") == before


def test_a_second_client_is_turned_away(serve: Serve) -> None:
    served = serve(SPIN)
    with served.client() as first, served.client() as second:
        assert second.closed()
        assert first.ask(b"qC") == b"QC1"


def test_the_guest_of_a_client_that_disappears_is_stopped_and_kept(serve: Serve) -> None:
    served = serve(COUNT)
    with served.client() as client:
        client.send(b"c")
        until(lambda: served.session.snapshot().state is RunState.RUNNING)
    until(lambda: any("waiting for the next" in line for line in served.told))
    assert served.session.snapshot().state is RunState.STOPPED
    with served.client() as client:
        assert client.ask(b"?").startswith(b"T")


def test_the_breakpoints_of_a_client_that_disappears_are_forgotten(serve: Serve) -> None:
    served = serve("40 40 ebfc")
    with served.client() as client:
        client.ask(b"Z0,1001,1")
        client.ask(b"c")
    with served.client() as client:
        client.ask(b"Z0,1002,1")
        assert rip_of(client.ask(b"c")) == 0x1002


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the begin of a TLS handshake
        b"$m1000,",
        b"$c#6",
        b"$" * 1000,
        bytes(range(256)) * 40,
    ],
)
def test_after_garbage_and_half_packets_the_next_client_is_served(
    serve: Serve, garbage: bytes
) -> None:
    served = serve(SPIN)
    with served.client() as client:
        client.socket.sendall(garbage)
    with served.client() as client:
        assert client.ask(b"qC") == b"QC1"


@pytest.mark.parametrize(
    ("flood", "told"),
    [
        (b"$" + b"a" * (PACKET_SIZE + 1), "a packet longer than announced"),
        (packet(b"c") + packet(b"?") * (WAITING + 2), "packets at once"),
        (packet(b"qC") + b"-" * 20, "does not understand"),
    ],
)
def test_a_client_that_floods_is_let_go(serve: Serve, flood: bytes, told: str) -> None:
    served = serve(SPIN)
    with served.client() as client:
        client.socket.sendall(flood)
        assert client.closed()
    until(lambda: any(told in line for line in served.told))
    with served.client() as client:
        assert client.ask(b"?").startswith(b"T")


def test_a_client_that_never_reads_is_let_go(serve: Serve) -> None:
    served = serve(SPIN)
    with served.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(b"QStartNoAckMode")
        request = packet(b"qXfer:features:read:target.xml:0,3fff")
        client.socket.settimeout(WAIT)
        with pytest.raises(OSError):
            for _ in range(100_000):
                client.socket.sendall(request)
    with served.client() as client:
        assert client.ask(b"qC") == b"QC1"


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.binary(max_size=40) | st.from_regex(rb"[gGmMXpPZzHTcsvq?!D]\S{0,20}", fullmatch=True),
        max_size=8,
    )
)
def test_random_packets_never_end_the_server(debugged: Served, packets: list[bytes]) -> None:
    with debugged.client() as client:
        for data in packets:
            if data[:1] not in (b"k", b"c", b"C", b"D") and not data.startswith(
                (b"vCont;c", b"vCont;C")
            ):
                client.socket.sendall(b"$%s#%02x" % (data, sum(data) & 0xFF))
    with debugged.client() as client:
        assert client.ask(b"qC") == b"QC1"


@pytest.fixture
def debugged(serve: Serve) -> Served:
    return serve(SPIN)


def test_a_device_that_holds_the_guest_up_does_not_hold_up_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release, entered = threading.Event(), threading.Event()

    class Slow:
        ports = range(0x10, 0x11)
        mmio = None

        def read(self, address: int, size: int) -> int:
            entered.set()
            release.wait(WAIT)
            return 0

        def write(self, address: int, size: int, value: int) -> None: ...

    for module in (gdb_server, gdb_registers):
        monkeypatch.setattr(module, "PATIENCE", 0.05)
    guest = flat(bytes.fromhex("e410 ebfc"), "test guest")
    served = Served(VcpuSession(guest, devices=[DeviceClass("test:Slow", Slow)]))
    try:
        with served.client() as client:
            client.send(b"c")
            assert entered.wait(WAIT)
        with served.client() as client:
            assert client.ask(b"P0=0100000000000000").startswith(b"E.the VCPU's thread does not")
        assert any("did not stop" in line for line in served.told)
    finally:
        release.set()
        served.close()


def test_nothing_is_left_behind() -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    def once() -> None:
        served = Served(VcpuSession(flat(bytes.fromhex(SPIN), "test guest")))
        with served.client() as client:
            client.send(b"c")
        with served.client() as client:
            client.ask(b"?")
        served.close()

    once()
    files, threads = open_files(), threading.active_count()
    for _ in range(5):
        once()
    assert (open_files(), threading.active_count()) == (files, threads)


def test_a_port_in_use_can_not_be_listened_on(serve: Serve) -> None:
    served = serve(SPIN)
    with pytest.raises(OSError, match="in use"):
        GdbServer(served.session, "127.0.0.1", served.port, print)


def test_the_timeout_ends_the_server() -> None:
    session = VcpuSession(flat(bytes.fromhex(SPIN), "test guest"))
    server = GdbServer(session, "127.0.0.1", 0, print)
    try:
        with Client(server.address[1]) as client:
            client.send(b"c")
            assert server.serve(lambda: False, 0.05) is ServeEnd.TIMEOUT
        assert session.snapshot().state is not RunState.RUNNING
    finally:
        server.close()
        session.close()
