"""BIOS images: made here, and SeaBIOS where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdash.backends.kvm.bios_image import bios_guest, is_bios
from kdash.backends.kvm.engines import EMULATOR, KVM
from kdash.backends.kvm.facts import GuestError, Outcome
from kdash.backends.kvm.images import Format, Options, detect, make_guest
from kdash.backends.kvm.run import Report, Request, run_guest
from kdash.backends.kvm.session import VcpuSession

SEABIOS = Path("/usr/share/seabios/bios.bin")
seabios = pytest.mark.skipif(
    not SEABIOS.exists(), reason="SeaBIOS is not installed (Debian package seabios)"
)

FAR = bytes.fromhex("ea 00 00 00 f0")  # jmp f000:0
#: mov al,'B'; mov dx,0x402; out dx,al
PRINT = bytes.fromhex("b0 42 ba 02 04 ee")
HLT = b"\xf4"


def image(code: bytes, vector: bytes = FAR, size: int = 0x10000) -> bytes:
    """A ROM with this code where the far jump leads."""
    rom = bytearray(size)
    rom[size - 0x10000 : size - 0x10000 + len(code)] = code
    rom[size - 16 : size - 16 + len(vector)] = vector
    return bytes(rom)


def boot(rom: bytes, *dumps: tuple[int, int], engine: str = KVM, timeout: float = 10) -> Report:
    return run_guest(Request(bios_guest(rom, "rom"), timeout=timeout, dumps=dumps, engine=engine))


@pytest.mark.kvm
@pytest.mark.parametrize("size", [0x10000, 0x20000, 0x80000, 16 << 20])
def test_it_starts_at_the_reset_vector_and_prints(size: int) -> None:
    report = boot(image(PRINT + HLT, size=size))
    assert (report.outcome, report.debug_port) == (Outcome.HLT, b"B")


@pytest.mark.kvm
def test_a_near_jump_stays_below_4_gib() -> None:
    near = bytes.fromhex("e9 0d 00")[:1] + (0x10000 - 0xFFF3).to_bytes(2, "little", signed=False)
    report = boot(image(PRINT + HLT, vector=near))
    assert report.debug_port == b"B"
    assert report.registers.cs.base == 0xFFFF0000


def test_the_emulator_starts_it_as_well() -> None:
    report = boot(image(PRINT + HLT), engine=EMULATOR)
    assert (report.outcome, report.debug_port) == (Outcome.HLT, b"B")


@pytest.mark.kvm
def test_the_copy_below_1_mib_can_be_written_and_the_rom_below_4_gib_cannot() -> None:
    # mov ax,0xf000; mov ds,ax; mov byte [0x100],0x5a; hlt
    report = boot(
        image(bytes.fromhex("b8 00 f0 8e d8 c6 06 00 01 5a f4")),
        (0xF0100, 1),
        (0xFFFF0100, 1),
    )
    assert report.memory == {0xF0100: b"\x5a", 0xFFFF0100: b"\0"}


@pytest.mark.kvm
def test_the_screen_of_a_session_shows_the_debug_port() -> None:
    session = VcpuSession(bios_guest(image(PRINT + HLT), "rom"))
    try:
        first = session.snapshot()
        assert first.registers.linear_ip == 0xFFFFFFF0
        assert [one.text for one in first.disassembly if one.current] == ["jmp far 0x0,0xf000"]
        assert session.run().result(10).debug_port == b"B"
    finally:
        session.close()


def test_a_rom_is_told_by_its_reset_vector() -> None:
    assert detect(image(HLT)) is Format.BIOS
    assert detect(image(HLT, vector=b"\x90\x90\xe9\x00\x80")) is Format.BIOS
    assert detect(image(HLT, vector=b"\xea\0\0\0\x10")) is Format.FLAT
    assert detect(image(HLT, vector=b"")) is Format.FLAT
    assert detect(image(HLT)[:-16]) is Format.FLAT


def test_load_and_another_mode_make_it_a_flat_binary() -> None:
    assert not make_guest(image(HLT), "rom", Options(load=0x10000, entry=0x8000)).reset


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (bytes(1000), Options(), "1000 bytes are no BIOS image; one has 64K to 16M"),
        (bytes(32 << 20), Options(), "no BIOS image"),
        (image(HLT), Options(memory=0x80000), "at least 1 MiB of memory"),
        (image(HLT), Options(entry=5), "without --entry"),
        (image(HLT), Options(stack=5), "without --stack"),
        (image(HLT), Options(load=5), "a BIOS image says itself where it is loaded"),
    ],
)
def test_what_can_not_be_started_is_refused(data: bytes, options: Options, message: str) -> None:
    from dataclasses import replace

    with pytest.raises(GuestError, match=message):
        make_guest(data, "rom", replace(options, format=Format.BIOS))


@given(st.binary(min_size=16, max_size=16), st.integers(1, 3))
def test_any_last_bytes_are_a_rom_or_not(vector: bytes, size: int) -> None:
    data = image(HLT, vector, size * 0x10000)
    assert is_bios(data) == (detect(data) is Format.BIOS)


@pytest.mark.kvm
@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.binary(max_size=100))
def test_random_roms_end_in_an_outcome(vector: bytes, code: bytes) -> None:
    guest = bios_guest(image(code, vector), "random")
    assert run_guest(Request(guest, timeout=0.3, max_steps=500)).outcome in Outcome


@seabios
@pytest.mark.kvm
def test_seabios_boots_to_its_prompt_and_halts() -> None:
    guest = make_guest(SEABIOS.read_bytes(), "bios.bin")
    report = run_guest(Request(guest, timeout=60))
    assert (report.outcome, report.exits["HLT"]) == (Outcome.HLT, 1)
    text = report.debug_port.decode()
    assert text.startswith("SeaBIOS (version ")
    assert "Press ESC for boot menu." in text
    assert "RamSize: 0x01100000 [cmos]" in text
