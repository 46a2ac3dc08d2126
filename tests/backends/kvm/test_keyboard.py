"""Keys as bytes of a terminal, the controller's ports, and boot sectors that wait for keys."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.boot import boot_guest
from kdash.backends.kvm.facts import Outcome, RunState
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.keyboard import KeyboardController
from kdash.backends.kvm.keys import Key, keys_of
from kdash.backends.kvm.run import Request, run_guest
from kdash.backends.kvm.session import VcpuSession

#: again: mov ah,0; int 0x16; cmp al,13; je done; mov ah,0xe; int 0x10; jmp again; done: hlt
ECHO = bytes.fromhex("b4 00 cd 16 3c 0d 74 06 b4 0e cd 10 eb f2 f4")


def sector(code: bytes) -> bytes:
    return code.ljust(510, b"\0") + b"\x55\xaa"


def words(data: bytes) -> list[int]:
    return [key.word for key in keys_of(data)]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"a", 0x1E61),
        (b"A", 0x1E41),
        (b"1", 0x0231),
        (b"!", 0x0221),
        (b" ", 0x3920),
        (b"\r", 0x1C0D),
        (b"\n", 0x1C0D),
        (b"\x7f", 0x0E08),
        (b"\t", 0x0F09),
        (b"\x1b", 0x011B),
        (b"\x03", 0x2E03),  # ctrl+c
        (b"\\", 0x2B5C),
        (b"|", 0x2B7C),
        (b"\x1b[A", 0x48E0),
        (b"\x1bOD", 0x4BE0),
        (b"\x1b[3~", 0x53E0),
        (b"\x1bOP", 0x3B00),
        (b"\x1b[24~", 0x8600),
        ("é".encode(), 0x0082),
    ],
)
def test_a_terminals_bytes_are_the_key_that_makes_them(data: bytes, word: int) -> None:
    assert words(data) == [word]


def test_an_escape_that_begins_no_known_sequence_is_the_key_itself() -> None:
    assert words(b"\x1b[x") == [0x011B, 0x1A5B, 0x2D78]


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"a", "1e 9e"),
        (b"A", "2a 1e 9e aa"),
        (b"\x01", "1d 1e 9e 9d"),
        (b"\x1b[A", "e0 48 e0 c8"),
        ("é".encode(), ""),
    ],
)
def test_a_key_sends_make_and_break_codes(data: bytes, codes: str) -> None:
    assert keys_of(data)[0].codes == bytes.fromhex(codes)


@given(st.binary(max_size=60))
def test_any_bytes_make_keys(data: bytes) -> None:
    for key in keys_of(data):
        assert 0 <= key.word <= 0xFFFF
        assert len(key.codes) <= 6


# -- the controller


def read_all(keyboard: KeyboardController) -> bytes:
    found = bytearray()
    while keyboard.read(0x64, 1) & 1:
        found.append(keyboard.read(0x60, 1))
    return bytes(found)


def test_codes_of_what_is_typed_are_read_one_by_one() -> None:
    keyboard = KeyboardController()
    assert read_all(keyboard) == b""
    keyboard.press(keys_of(b"hi"))
    assert read_all(keyboard).hex() == "23a31797"


def test_a_key_whose_code_was_read_is_not_told_again_by_the_bios() -> None:
    keyboard = KeyboardController()
    keyboard.press(keys_of(b"ab"))
    assert keyboard.read(0x60, 1) == 0x1E
    assert keyboard.take() == Key(0x30, ord("b"))
    assert keyboard.take() is None


@pytest.mark.parametrize(
    ("writes", "answers"),
    [
        ([(0x64, 0xAA)], "55"),
        ([(0x64, 0xAB)], "00"),
        ([(0x64, 0x20)], "45"),
        ([(0x64, 0x60), (0x60, 0x54), (0x64, 0x20)], "54"),
        ([(0x64, 0xD0)], "c3"),
        ([(0x64, 0xD1), (0x60, 0xDF), (0x64, 0xD0)], "df"),
        ([(0x60, 0xFF)], "faaa"),
        ([(0x60, 0xED), (0x60, 0x07)], "fafa"),
        ([(0x60, 0xF2)], "faab41"),
        ([(0x60, 0xEE)], "ee"),
        ([(0x60, 0x00)], "fe"),
    ],
)
def test_commands_are_answered(writes: list[tuple[int, int]], answers: str) -> None:
    keyboard = KeyboardController()
    for port, value in writes:
        keyboard.write(port, 1, bytes((value,)))
    assert read_all(keyboard).hex() == answers


def test_a_disabled_keyboard_keeps_its_keys() -> None:
    keyboard = KeyboardController()
    keyboard.write(0x64, 1, b"\xad")
    keyboard.press(keys_of(b"a"))
    assert not keyboard.read(0x64, 1) & 1
    keyboard.write(0x64, 1, b"\xae")
    assert keyboard.read(0x60, 1) == 0x1E


def test_the_output_port_resets_too() -> None:
    keyboard = KeyboardController()
    keyboard.write(0x64, 1, b"\xd1")
    keyboard.write(0x60, 1, b"\xfe")
    assert keyboard.reset


def test_each_byte_is_an_edge_of_the_interrupt_line() -> None:
    told: list[bool] = []
    keyboard = KeyboardController(told.append)
    keyboard.press(keys_of(b"a"))
    assert told == [True]
    keyboard.read(0x60, 1)
    assert told == [True, False, True]
    keyboard.read(0x60, 1)
    assert told == [True, False, True, False]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from([0x60, 0x64]), st.integers(0, 255)), st.binary(max_size=4)
        ),
        max_size=40,
    )
)
def test_any_traffic_reads_as_bytes(traffic: list[tuple[int, int] | bytes]) -> None:
    keyboard = KeyboardController(lambda _: None)
    for one in traffic:
        if isinstance(one, bytes):
            keyboard.press(keys_of(one))
        else:
            keyboard.write(one[0], 1, bytes((one[1],)))
        assert 0 <= keyboard.read(0x64, 1) <= 0xFF
        assert 0 <= keyboard.read(0x60, 1) <= 0xFF


# -- boot sectors


@pytest.mark.kvm
@pytest.mark.parametrize("irqchip", [False, True])
@pytest.mark.parametrize("steps", [None, 10_000])
def test_a_boot_sector_reads_what_is_typed(steps: int | None, irqchip: bool) -> None:
    guest = replace(boot_guest(sector(ECHO), "echo"), irqchip=irqchip)
    report = run_guest(Request(guest, stdin=b"Hi!\r", timeout=10, max_steps=steps))
    assert (report.outcome, report.teletype) == (Outcome.HLT, b"Hi!")
    assert report.detail == "HLT at 0x7c0e"


@pytest.mark.kvm
@pytest.mark.parametrize("steps", [None, 10_000])
def test_a_run_whose_input_has_ended_ends_where_the_guest_waits(steps: int | None) -> None:
    guest = boot_guest(sector(ECHO), "echo")
    report = run_guest(Request(guest, stdin=b"Hi", timeout=10, max_steps=steps))
    assert (report.outcome, report.teletype) == (Outcome.HLT, b"Hi")
    assert report.detail.endswith(": the guest waits for a key")


@pytest.mark.kvm
def test_a_session_waits_for_keys_without_running() -> None:
    session = VcpuSession(boot_guest(sector(ECHO), "echo"))
    try:
        done = session.run()
        session.send_keys(b"H").result(10)
        exits = session.send_keys(b"i").result(10)
        assert exits.state is RunState.RUNNING
        session.send_keys(b"\r")
        ended = done.result(10)
        assert (ended.outcome, ended.teletype) == (Outcome.HLT, b"Hi")
    finally:
        session.close()


@pytest.mark.kvm
def test_a_guest_that_waits_can_be_paused_stepped_and_restarted() -> None:
    session = VcpuSession(boot_guest(sector(ECHO), "echo"))
    try:
        session.run()
        deadline = time.monotonic() + 10
        while session.snapshot().exits_total < 2 and time.monotonic() < deadline:
            time.sleep(0.005)  # the call and the halt
        assert session.snapshot().detail == "it waits for a key"
        paused = session.pause().result(10)
        assert paused.detail == ""
        assert (paused.state, paused.registers.cs.base) == (RunState.STOPPED, 0xF0000)
        step = session.step(4)
        assert session.send_keys(b"x\r").result(10).outcome is None
        assert step.result(10).outcome is None
        assert session.run().result(10).teletype == b"x"
        assert session.restart().result(10).state is RunState.READY
    finally:
        session.close()


@pytest.mark.kvm
def test_a_key_is_looked_at_and_left() -> None:
    # mov ah,1; int 0x16; mov bx,ax; mov ah,0x11; int 0x16; mov cx,ax; mov ah,0x10; int 0x16; hlt
    code = bytes.fromhex("b4 01 cd 16 89 c3 b4 11 cd 16 89 c1 b4 10 cd 16 f4")
    report = run_guest(Request(boot_guest(sector(code), "t"), stdin=b"\x1b[A", timeout=10))
    registers = report.registers
    assert (registers.rbx, registers.rcx, registers.rax) == (0x4800, 0x48E0, 0x48E0)


@pytest.mark.kvm
def test_a_guest_polls_the_controller() -> None:
    # again: in al,0x64; test al,1; jz again; in al,0x60; mov bl,al; hlt
    code = bytes.fromhex("e4 64 a8 01 74 fa e4 60 88 c3 f4")
    session = VcpuSession(flat(code, "poll"))
    try:
        done = session.run()
        session.send_keys(b"z")
        assert done.result(10).registers.rbx & 0xFF == 0x2C
    finally:
        session.close()


@pytest.mark.kvm
@pytest.mark.parametrize("irqchip", [True, False], ids=["in the kernel", "of our own"])
def test_a_key_interrupts_a_guest_that_halted(irqchip: bool) -> None:
    # xor ax,ax; mov ds,ax; mov word [0x24],handler; mov [0x26],ax;
    # mov al,0x11; out 0x20,al; mov al,8; out 0x21,al; mov al,4; out 0x21,al; mov al,1; out 0x21,al;
    # mov al,0xfd; out 0x21,al; sti; out 0xe9,al; wait: hlt; jmp wait;
    # handler: in al,0x60; out 0xf4,al
    code = bytes.fromhex(
        "31c0 8ed8 c70624002710 a32600 b011 e620 b008 e621 b004 e621 b001 e621 b0fd e621"
        "fb e6e9 f4 ebfd e460 e6f4"
    )
    session = VcpuSession(replace(flat(code, "keys"), irqchip=irqchip))
    try:
        done = session.run()
        deadline = time.monotonic() + 10
        while not session.snapshot().debug_port and time.monotonic() < deadline:
            time.sleep(0.005)  # its interrupt controller is not ready yet
        session.send_keys(b"q")
        ended = done.result(10)
        assert (ended.outcome, ended.detail) == (Outcome.EXIT_PORT, "exit port: 0x10 at 0x1029")
    finally:
        session.close()
