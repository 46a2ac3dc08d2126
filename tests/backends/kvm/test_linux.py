"""Linux kernels: small ones made here that tell what they were given, and a real one."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from kdash.backends.kvm.facts import GuestError, Outcome
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.images import Format, Options, detect, load_file, make_guest
from kdash.backends.kvm.linux import BOOT_PARAMS, COMMAND_LINE
from kdash.backends.kvm.payload import expand
from kdash.backends.kvm.run import Listeners, Report, Request, run_guest

#: mov ebx,[rsi+0x228]; mov edx,0x3f8; next: mov al,[rbx]; test al,al; jz done; out dx,al;
#: inc rbx; jmp next; done: xor eax,eax; out 0xf4,al  (prints its command line, exits with 0)
PRINT = bytes.fromhex(
    "8b9e28020000 ba f8030000 8a03 84c0 7406 ee 48ffc3 ebf4 31c0 e6f4".replace(" ", "")
)
PHYSICAL = 0x1000000
HIGH = 0xFFFFFFFF81000000
BANNER = b"Linux version 6.0-test\0"


def vmlinux(code: bytes = PRINT, *, virtual: int = HIGH, banner: bytes = BANNER) -> bytes:
    """An ELF file with one segment, entered at its begin by its physical address."""
    content = code.ljust(64, b"\xf4") + banner
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, PHYSICAL, 64, 0, 0, 64, 56, 1, 64, 0, 0
    )
    segment = struct.pack(
        "<IIQQQQQQ", 1, 7, 0x1000, virtual, PHYSICAL, len(content), 0x3000, 0x1000
    )
    return (header + segment).ljust(0x1000, b"\0") + content


def bzimage(
    payload: bytes,
    *,
    version: int = 0x20F,
    flags: int = 1,
    length: int | None = None,
    magic: bytes = b"HdrS",
    loaded_high: int = 1,
) -> bytes:
    """Two sectors of setup, then code that prints 'N' at +0x200, then the payload."""
    setup = bytearray(1024)
    setup[0x1F1] = 1
    setup[0x1FE:0x200] = b"\x55\xaa"
    setup[0x201] = 0x66
    setup[0x202:0x206] = magic
    struct.pack_into("<H", setup, 0x206, version)
    setup[0x211] = loaded_high
    setup[0x234] = 1
    struct.pack_into("<H", setup, 0x236, flags)
    struct.pack_into("<II", setup, 0x248, 0x300, len(payload) if length is None else length)
    struct.pack_into("<QI", setup, 0x258, PHYSICAL, 0x100000)
    # mov al,'N'; mov edx,0x3f8; out dx,al; xor eax,eax; out 0xf4,al
    own = bytes.fromhex("b04e baf8030000 ee 31c0 e6f4".replace(" ", ""))
    return bytes(setup) + bytes(0x200) + own.ljust(0x100, b"\0") + payload


def lz4(data: bytes) -> bytes:
    """The legacy frame: a block of literals, with a match where it ends in a repeated byte."""
    head = len(data) - 5

    def length(rest: int) -> bytes:
        return b"\xff" * (rest // 255) + bytes((rest % 255,))

    block = bytes((0xF0,)) + length(head - 15) + data[:head] + b"\1\0"  # four of the last byte
    block += b"\x10" + data[-1:]
    return b"\x02\x21\x4c\x18" + struct.pack("<I", len(block)) + block


def with_size(packed: bytes, data: bytes) -> bytes:
    """As the kernel's build leaves it: the expanded size behind."""
    return packed + struct.pack("<I", len(data))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": lambda data: with_size(bz2.compress(data), data),
    "xz": lambda data: with_size(lzma.compress(data, check=lzma.CHECK_CRC32), data),
    "lzma": lambda data: with_size(lzma.compress(data, lzma.FORMAT_ALONE), data),
    "zstd": lambda data: with_size(zstandard.compress(data), data),
    "lz4": lambda data: with_size(lz4(data), data),
    "nothing": lambda data: data,
}
KERNEL = vmlinux(banner=BANNER + b"zzzzz")


def run(guest: Guest, **options: object) -> Report:
    return run_guest(Request(guest, timeout=20, **options))  # type: ignore[arg-type]


@pytest.mark.kvm
def test_a_vmlinux_is_entered_at_its_physical_address_with_its_command_line() -> None:
    guest = make_guest(vmlinux(), "vmlinux", Options(command_line="quiet splash"))
    report = run(guest)
    assert (report.outcome, report.serial) == (Outcome.EXIT_PORT, b"quiet splash")
    assert report.registers.rsi == BOOT_PARAMS
    assert report.registers.cs.selector == 0x10
    assert report.registers.ds.selector == 0x18


@pytest.mark.kvm
def test_the_console_is_the_serial_port_unless_told_otherwise() -> None:
    assert run(make_guest(vmlinux(), "vmlinux")).serial.decode() == COMMAND_LINE


@pytest.mark.kvm
def test_the_processor_is_the_hosts() -> None:
    # mov eax,0x80000001; cpuid; shr edx,29; and edx,1; mov ebx,edx; xor eax,eax; out 0xf4,al
    code = bytes.fromhex("b801000080 0fa2 c1ea1d 83e201 89d3 31c0 e6f4".replace(" ", ""))
    assert run(make_guest(vmlinux(code), "vmlinux")).registers.rbx == 1  # long mode


@pytest.mark.kvm
@pytest.mark.parametrize("name", PACKERS)
def test_the_kernel_in_a_bzimage_is_taken_out_and_started(name: str) -> None:
    guest = make_guest(bzimage(PACKERS[name](KERNEL)), "bzImage", Options(command_line=name))
    assert run(guest).serial.decode() == name


@pytest.mark.kvm
def test_a_bzimage_may_unpack_itself() -> None:
    guest = make_guest(bzimage(gzip.compress(KERNEL)), "bzImage", Options(extract=False))
    assert run(guest).serial == b"N"


@pytest.mark.kvm
def test_the_initrd_is_told_by_boot_params(tmp_path: Path) -> None:
    (tmp_path / "initrd").write_bytes(b"archive")
    options = Options(initrd=tmp_path / "initrd", memory=64 << 20)
    report = run(make_guest(vmlinux(), "vmlinux", options), dumps=((BOOT_PARAMS, 4096),))
    page = report.memory[BOOT_PARAMS]
    address, size = struct.unpack_from("<II", page, 0x218)
    assert (address, size) == ((64 << 20) - 0x1000, 7)


def test_the_zero_page_has_header_and_memory_map() -> None:
    guest = make_guest(bzimage(gzip.compress(KERNEL)), "bzImage", Options(memory=128 << 20))
    (page,) = [part.data for part in guest.parts if part.address == BOOT_PARAMS]
    assert page[0x202:0x206] == b"HdrS"
    assert page[0x210] == 0xFF
    entries = [struct.unpack_from("<QQI", page, 0x2D0 + 20 * n) for n in range(page[0x1E8])]
    assert entries[0] == (0, 0x9FC00, 1)
    assert entries[-1] == (0x100000, (128 << 20) - 0x100000, 1)
    assert guest.irqchip


def test_kernels_are_told_by_their_content() -> None:
    assert detect(vmlinux()) is Format.LINUX
    assert detect(bzimage(b"")) is Format.LINUX
    assert detect(vmlinux(banner=b"no kernel")) is Format.ELF
    assert detect(vmlinux(virtual=PHYSICAL)) is Format.ELF
    assert detect(bzimage(b"", magic=b"NoDr")) is Format.BOOT
    assert make_guest(vmlinux(), "vmlinux").memory == 256 << 20


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (bytes(2048), Options(), "wanted a vmlinux or a bzImage"),
        (bzimage(b"")[:0x230], Options(), "a bzImage has 'HdrS'"),
        (bzimage(KERNEL, version=0x204), Options(), r"boot protocol 2.04; 2.12 \(Linux 3.8\)"),
        (bzimage(KERNEL, flags=0), Options(), "a 32-bit kernel"),
        (bzimage(KERNEL, loaded_high=0), Options(), "a zImage"),
        (bzimage(KERNEL, length=1 << 20), Options(), "it is cut off"),
        (bzimage(b"\x89LZO" + bytes(50)), Options(), "LZO can't be expanded here; --no-extract"),
        (bzimage(b"what is this"), Options(), "packed in an unknown way.*--no-extract"),
        (bzimage(gzip.compress(KERNEL)[:-20]), Options(), "packed with gzip: it is cut off"),
        (bzimage(gzip.compress(b"text")), Options(), "no Linux kernel"),
        (vmlinux(), Options(memory=4 << 20), "give more with --memory"),
        (vmlinux(), Options(tables=BOOT_PARAMS), "--page-tables moves them"),
        (vmlinux(), Options(stack=BOOT_PARAMS + 16), "--stack moves the stack"),
        (vmlinux(), Options(command_line="x" * 3000), "command line of more than 2048 bytes"),
        (vmlinux(), Options(load=0x1000), "says itself where it is loaded"),
    ],
)
def test_what_can_not_be_started_is_refused(data: bytes, options: Options, message: str) -> None:
    with pytest.raises(GuestError, match=message):
        make_guest(data, "kernel", replace(options, format=Format.LINUX))


def test_an_initrd_without_room_names_the_memory_needed(tmp_path: Path) -> None:
    (tmp_path / "initrd").write_bytes(bytes(4 << 20))
    options = Options(initrd=tmp_path / "initrd", memory=20 << 20)
    with pytest.raises(GuestError, match="give at least 21M with --memory"):
        make_guest(vmlinux(), "vmlinux", options)


# -- payloads


@given(st.binary(min_size=16, max_size=3000))
def test_lz4_blocks_come_out_as_they_went_in(data: bytes) -> None:
    data = b"0" * 20 + data + data[-1:] * 5
    assert expand(PACKERS["lz4"](data), "t") == data


def test_lz4_matches_may_overlap() -> None:
    block = bytes.fromhex("1f 61 01 00 05 20 62 63".replace(" ", ""))  # a, 24 times a, bc
    frame = b"\x02\x21\x4c\x18" + struct.pack("<I", len(block)) + block
    assert expand(frame + struct.pack("<I", 27), "t") == b"a" * 25 + b"bc"


@given(st.sampled_from(sorted(PACKERS)), st.binary(max_size=60), st.integers(0, 400))
def test_a_damaged_payload_is_refused_or_expanded(name: str, damage: bytes, at: int) -> None:
    packed = PACKERS[name](KERNEL)
    data = packed[:at] + damage + packed[at + len(damage) :]
    try:
        expand(data, "t")
    except GuestError as error:
        assert "\n" not in str(error)


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 0x270), st.booleans())
def test_a_damaged_kernel_is_refused_or_loaded(damage: bytes, at: int, packed: bool) -> None:
    whole = bzimage(gzip.compress(KERNEL)) if packed else vmlinux()
    data = whole[:at] + damage + whole[at + len(damage) :]
    try:
        make_guest(data, "damaged", Options(format=Format.LINUX))
    except GuestError as error:
        assert "\n" not in str(error)


# -- a real kernel


def real_kernel() -> Path | None:
    """A kernel of this machine, or the one that KDASH_TEST_KERNEL names."""
    named = os.environ.get("KDASH_TEST_KERNEL")
    found = [Path(named)] if named else sorted(Path("/boot").glob("vmlinuz-*"))
    return next((path for path in reversed(found) if os.access(path, os.R_OK)), None)


@pytest.mark.kvm
@pytest.mark.skipif(
    real_kernel() is None, reason="no /boot/vmlinuz-* here, and KDASH_TEST_KERNEL names none"
)
def test_a_real_kernel_prints_its_banner_and_memory_map() -> None:
    path = real_kernel()
    assert path is not None
    text = bytearray()
    deadline = time.monotonic() + 100

    def enough() -> bool:
        return b"usable\n" in text.replace(b"\r", b"")[-400:] or time.monotonic() > deadline

    run_guest(Request(load_file(path)), Listeners(serial=text.extend, interrupted=enough))
    told = text.decode("latin-1")
    assert "Linux version " in told
    assert "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable" in told
