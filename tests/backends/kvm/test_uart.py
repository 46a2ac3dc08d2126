"""The 16550A, register by register (PC16550D data sheet)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.devices import Bus
from kdash.backends.kvm.facts import Outcome
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.run import Request, run_guest
from kdash.backends.kvm.uart import Serial

DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH = range(0x3F8, 0x400)
FCR = IIR


class Port:
    """A serial port on a bus, and what its interrupt line did."""

    def __init__(self) -> None:
        self.line: list[bool] = []
        self.serial = Serial(interrupt=self.line.append)
        self.bus = Bus([self.serial])

    def read(self, port: int) -> int:
        return self.bus.read_port(port, 1)[0]

    def write(self, port: int, value: int) -> None:
        self.bus.write_port(port, 1, bytes([value]))


@pytest.fixture
def port() -> Port:
    return Port()


def test_it_collects_what_is_sent(port: Port) -> None:
    port.bus.write_port(DATA, 1, b"hi\n")
    assert port.serial.sent == b"hi\n"


def test_a_guest_that_polls_the_line_status_may_always_send(port: Port) -> None:
    assert port.read(LSR) == 0x60


def test_the_divisor_lies_behind_dlab_and_sends_nothing(port: Port) -> None:
    port.write(LCR, 0x83)
    port.write(DATA, 0x01)
    port.write(IER, 0x02)
    assert (port.read(DATA), port.read(IER)) == (1, 2)
    port.write(LCR, 0x03)
    assert (port.read(DATA), port.read(IER)) == (0, 0)
    assert port.serial.sent == b""


def test_the_scratch_register_keeps_its_value(port: Port) -> None:
    port.write(SCRATCH, 0x5A)
    assert port.read(SCRATCH) == 0x5A


def test_reserved_bits_read_zero(port: Port) -> None:
    port.write(IER, 0xFF)
    port.write(MCR, 0xFF)
    assert (port.read(IER), port.read(MCR)) == (0x0F, 0x1F)


def test_input_is_read_in_order_and_told_by_data_ready(port: Port) -> None:
    port.serial.receive(b"ab")
    assert port.read(LSR) & 1
    assert [port.read(DATA), port.read(DATA)] == [0x61, 0x62]
    assert not port.read(LSR) & 1
    assert port.read(DATA) == 0


def test_more_input_than_the_fifo_holds_waits_outside(port: Port) -> None:
    port.write(FCR, 1)
    port.serial.receive(bytes(range(100)))
    assert [port.read(DATA) for _ in range(100)] == list(range(100))
    assert port.serial.unread == 0
    assert not port.read(LSR) & 2


def test_fifos_are_told_in_the_identification_and_can_be_cleared(port: Port) -> None:
    assert port.read(IIR) == 0x01
    port.write(FCR, 0x01)
    assert port.read(IIR) == 0xC1
    port.serial.receive(b"x" * 20)
    port.write(FCR, 0x03)
    assert port.serial.unread == 4
    port.write(FCR, 0x00)
    assert port.read(IIR) == 0x01


def test_data_interrupts_until_it_is_read(port: Port) -> None:
    port.write(MCR, 0x08)
    port.write(IER, 0x01)
    port.serial.receive(b"a")
    assert port.read(IIR) == 0x04
    port.read(DATA)
    assert port.read(IIR) == 0x01
    assert port.line == [True, False]


def test_the_line_stays_inactive_without_out2(port: Port) -> None:
    port.write(IER, 0x01)
    port.serial.receive(b"a")
    assert port.read(IIR) == 0x04
    assert port.line == []


def test_an_empty_transmitter_interrupts_once_enabled_and_after_each_byte(port: Port) -> None:
    port.write(IER, 0x02)
    assert [port.read(IIR), port.read(IIR)] == [0x02, 0x01]
    port.write(DATA, 0x41)
    assert [port.read(IIR), port.read(IIR)] == [0x02, 0x01]


def test_data_comes_before_the_empty_transmitter(port: Port) -> None:
    port.write(IER, 0x03)
    port.serial.receive(b"a")
    assert port.read(IIR) == 0x04
    port.read(DATA)
    assert port.read(IIR) == 0x02


def test_a_loop_gives_back_what_is_sent_and_shows_an_overrun(port: Port) -> None:
    port.write(MCR, 0x10)
    port.write(IER, 0x04)
    port.write(DATA, 0x41)
    port.write(DATA, 0x42)
    assert port.read(IIR) == 0x06
    assert port.read(LSR) == 0x63
    assert port.read(LSR) == 0x61
    assert port.read(DATA) == 0x41
    assert port.serial.sent == b""


def test_a_loop_connects_the_modem_lines(port: Port) -> None:
    assert port.read(MSR) == 0xB0
    port.write(MCR, 0x1F)
    assert port.read(MSR) & 0xF0 == 0xF0
    port.write(MCR, 0x12)
    assert port.read(MSR) == 0x10 | 0x0E  # carrier and DSR fell, and so did ring
    assert port.read(MSR) == 0x10


operations = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(DATA, SCRATCH), st.sampled_from([1, 2, 4])),
        st.tuples(st.just("write"), st.integers(DATA, SCRATCH), st.binary(min_size=1, max_size=9)),
        st.tuples(st.just("receive"), st.just(0), st.binary(max_size=40)),
    ),
    max_size=60,
)


@given(operations)
def test_any_sequence_gives_bytes_and_a_line_that_says_what_is_pending(
    sequence: list[tuple[str, int, int | bytes]],
) -> None:
    port = Port()
    for kind, address, argument in sequence:
        if kind == "read":
            assert isinstance(argument, int)
            assert 0 <= port.serial.read(address, argument) <= 0xFF
        elif kind == "write":
            assert isinstance(argument, bytes)
            port.serial.write(address, 1, argument)
        else:
            assert isinstance(argument, bytes)
            port.serial.receive(argument)
        assert (port.line[-1] if port.line else False) is port.serial.interrupting
    assert all(a != b for a, b in zip(port.line, port.line[1:], strict=False))


#: mov dx,0x3fd; L: in al,dx; test al,1; jz L; mov dx,0x3f8; in al,dx; out dx,al; mov dx,0x3fd;
#: cmp al,'!'; jne L; hlt
ECHO = bytes.fromhex("bafd03eca80174fbbaf803eceebafd033c2175eff4")


@pytest.mark.kvm
@pytest.mark.parametrize("stepped", [False, True])
def test_a_guest_echoes_its_input(stepped: bool) -> None:
    request = Request(flat(ECHO, "echo"), stdin=b"hello\x00\xff!", step_by_step=stepped, timeout=30)
    report = run_guest(request)
    assert (report.outcome, report.serial) == (Outcome.HLT, b"hello\x00\xff!")
