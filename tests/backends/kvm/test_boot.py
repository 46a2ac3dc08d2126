"""Boot sectors: assembled here, booted on KVM, served by the BIOS."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdash.backends.kvm.bios_disk import Disk
from kdash.backends.kvm.boot import boot_guest, is_boot_sector
from kdash.backends.kvm.facts import GuestError, Outcome
from kdash.backends.kvm.images import make_guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.run import Listeners, Report, Request, run_guest
from kdash.backends.kvm.runner import Runner, Slice
from kdash.backends.kvm.session import VcpuSession

Boot = Callable[..., Report]

HELLO = """
        mov $msg, %si
next:   lodsb
        test %al, %al
        jz done
        mov $0x0e, %ah
        mov $7, %bx
        int $0x10
        jmp next
done:   hlt
msg:    .asciz "Hello\\r\\n"
"""


def sector(code: bytes) -> bytes:
    """A boot sector of this code."""
    assert len(code) <= 510
    return code.ljust(510, b"\0") + b"\x55\xaa"


@pytest.fixture
def assemble(tmp_path: Path) -> Callable[[str], bytes]:
    """Assembles 16-bit code for 0x7c00."""

    def make(source: str) -> bytes:
        (tmp_path / "boot.s").write_text(f".code16\n.globl _start\n_start:\n{source}")
        subprocess.run(
            ["gcc", "-m32", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none",
             "-Wl,-Ttext=0x7c00", "-Wl,--oformat=binary", "-o", tmp_path / "boot.bin",
             tmp_path / "boot.s"],
            check=True, capture_output=True,
        )  # fmt: skip
        return sector((tmp_path / "boot.bin").read_bytes())

    return make


@pytest.fixture
def boot(assemble: Callable[[str], bytes]) -> Boot:
    """Boots assembled code and runs it to its HLT."""

    def run(
        source: str, *dumps: tuple[int, int], rest: bytes = b"", stepped: bool = False
    ) -> Report:
        guest = make_guest(assemble(source) + rest, "boot", None)
        report = run_guest(Request(guest, timeout=20, dumps=dumps, step_by_step=stepped))
        assert report.outcome is Outcome.HLT, report.detail
        return report

    return run


@pytest.mark.kvm
@pytest.mark.gcc
@pytest.mark.parametrize("stepped", [False, True])
def test_teletype_output_is_collected_and_on_the_screen(boot: Boot, stepped: bool) -> None:
    report = boot(HELLO, (0xB8000, 10), (0x450, 2), stepped=stepped)
    assert report.teletype == b"Hello\r\n"
    assert report.memory[0xB8000][::2] == b"Hello"
    assert report.memory[0x450] == b"\0\1"
    assert report.exits == {"IO": 7, "HLT": 1}


@pytest.mark.kvm
@pytest.mark.gcc
def test_the_session_shows_what_was_printed(assemble: Callable[[str], bytes]) -> None:
    session = VcpuSession(boot_guest(assemble(HELLO), "boot"))
    try:
        assert session.run().result(10).teletype == b"Hello\r\n"
        assert session.restart().result(10).teletype == b""
    finally:
        session.close()


@pytest.mark.kvm
@pytest.mark.gcc
def test_output_is_passed_on_to_who_listens(assemble: Callable[[str], bytes]) -> None:
    told: list[bytes] = []
    run_guest(Request(boot_guest(assemble(HELLO), "boot")), Listeners(serial=told.append))
    assert b"".join(told) == b"Hello\r\n"


@pytest.mark.kvm
@pytest.mark.gcc
def test_it_starts_at_7c00_with_the_drive_in_dl(boot: Boot) -> None:
    report = boot("hlt")
    assert report.detail == "HLT at 0x7c00"
    assert report.registers.rdx == 0x80
    assert report.registers.cs.base == 0


@pytest.mark.kvm
@pytest.mark.gcc
def test_sectors_are_read_by_cylinder_head_and_sector(boot: Boot) -> None:
    report = boot(
        """mov $0x0202, %ax
        mov $0x8000, %bx
        mov $0x0002, %cx
        mov $0x0080, %dx
        int $0x13
        jc fail
        mov $1, %si
        fail: hlt""",
        (0x8000, 1024),
        rest=b"A" * 512 + b"B" * 100,
    )
    assert report.registers.rsi == 1
    assert report.memory[0x8000] == b"A" * 512 + b"B" * 100 + bytes(412)


@pytest.mark.kvm
@pytest.mark.gcc
def test_sectors_are_read_and_written_by_packet(boot: Boot) -> None:
    report = boot(
        """mov $packet, %si
        mov $0x4300, %ax
        int $0x13
        jc fail
        movw $0x9000, packet+4
        mov $0x4200, %ax
        mov $packet, %si
        int $0x13
        jc fail
        mov $1, %di
        fail: hlt
        packet: .word 16, 1, 0x7c00, 0
        .quad 1""",
        (0x9000, 2),
        rest=bytes(512),
    )
    assert report.registers.rdi == 1
    assert report.memory[0x9000] == b"\xbe" + report.memory[0x9000][1:]


@pytest.mark.kvm
@pytest.mark.gcc
@pytest.mark.parametrize(
    ("registers", "status"),
    [
        ("mov $0x0201, %ax; mov $9, %cx", 0x04),  # beyond the image
        ("mov $0x0201, %ax; mov $0, %cx", 0x01),  # sector 0
        ("mov $0x0200, %ax; mov $1, %cx", 0x01),  # no sector
        ("mov $0x0201, %ax; mov $1, %cx; mov $0x81, %dl", 0x01),  # no such drive
        ("mov $0xf000, %cx; mov %cx, %es; mov $0x0201, %ax; mov $1, %cx", 0x09),  # into ROM
        ("mov $0x7700, %ax", 0x01),  # no such function
    ],
)
def test_a_wrong_disk_call_sets_carry_and_status(boot: Boot, registers: str, status: int) -> None:
    report = boot(f"mov $0, %bx; {registers}; clc; int $0x13; setc %bl; hlt")
    assert (report.registers.rbx & 0xFF, report.registers.rax >> 8 & 0xFF) == (1, status)


@pytest.mark.kvm
@pytest.mark.gcc
def test_the_memory_map_is_told_entry_by_entry(boot: Boot) -> None:
    report = boot(
        """xor %ebx, %ebx
        mov $0x8000, %di
        more: mov $0xe820, %eax
        mov $20, %ecx
        mov $0x534d4150, %edx
        int $0x15
        jc done
        add $20, %di
        test %ebx, %ebx
        jnz more
        done: hlt""",
        (0x8000, 60),
    )
    entries = list(struct.iter_unpack("<QQI", report.memory[0x8000]))
    assert entries[0] == (0, 0x9FC00, 1)
    assert entries[2][0] == 0x100000
    assert report.registers.rdi == 0x8000 + 60
    assert report.registers.rax == 0x534D4150


@pytest.mark.kvm
@pytest.mark.gcc
def test_who_waits_for_a_key_halts_in_the_bios(boot: Boot) -> None:
    report = boot("mov $0x0100, %ax; int $0x16; setz %bl; mov $0, %ah; int $0x16; hlt")
    assert report.registers.cs.base == 0xF0000
    assert report.registers.rbx & 1


@pytest.mark.kvm
@pytest.mark.gcc
def test_the_screen_scrolls(boot: Boot) -> None:
    report = boot(
        """mov $30, %cx
        more: mov $0x0e41, %ax
        int $0x10
        mov $0x0e0d, %ax
        int $0x10
        mov $0x0e0a, %ax
        int $0x10
        loop more
        hlt""",
        (0xB8000 + 23 * 160, 1),
        (0xB8000 + 24 * 160, 2),
        (0x450, 2),
    )
    assert report.memory[0xB8000 + 23 * 160] == b"A"
    assert report.memory[0xB8000 + 24 * 160] == b" \7"
    assert report.memory[0x450] == b"\0\x18"


@pytest.mark.kvm
@pytest.mark.gcc
def test_a_string_is_written_where_it_is_asked_for(boot: Boot) -> None:
    report = boot(
        """mov $0x1300, %ax
        mov $0x001f, %bx
        mov $3, %cx
        mov $0x0105, %dx
        mov $text, %bp
        int $0x10
        hlt
        text: .ascii "abc" """,
        (0xB8000 + 160 + 10, 6),
        (0x450, 2),
    )
    assert report.memory[0xB8000 + 170] == b"a\x1fb\x1fc\x1f"
    assert report.memory[0x450] == b"\0\0"


@pytest.mark.kvm
@pytest.mark.gcc
def test_the_clock_is_told_in_bcd(assemble: Callable[[str], bytes]) -> None:
    code = assemble("mov $2, %ah; int $0x1a; mov %cx, %si; mov $4, %ah; int $0x1a; hlt")
    with Machine(boot_guest(code, "boot")) as machine:
        runner = Runner(machine)
        assert runner.bios
        runner.bios.now = lambda: datetime(2024, 12, 31, 23, 59, 58)
        while runner.run() is not Slice.ENDED:
            pass
        registers = machine.vcpu.registers()
    assert (registers.rsi, registers.rcx, registers.rdx) == (0x2359, 0x2024, 0x1231)


@pytest.mark.kvm
def test_an_out_to_the_private_port_outside_the_bios_does_nothing() -> None:
    report = run_guest(Request(boot_guest(sector(b"\xe6\xe6\xf4"), "boot"), timeout=10))
    assert (report.outcome, report.teletype) == (Outcome.HLT, b"")


@pytest.mark.kvm
@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([0x10, 0x13, 0x15, 0x16, 0x1A]))
def test_random_boot_sectors_end_in_an_outcome(code: bytes, vector: int) -> None:
    guest = boot_guest(sector(bytes((0xCD, vector)) + code), "random")
    report = run_guest(Request(guest, timeout=0.3, max_steps=2000))
    assert report.outcome in Outcome


@pytest.mark.kvm
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_registers_in_a_call_do_no_harm(data: st.DataObject) -> None:
    vector = data.draw(st.sampled_from([0x10, 0x13, 0x15, 0x16, 0x1A]))
    function = data.draw(st.integers(0, 0x4F)) << 8 | data.draw(st.integers(0, 255))
    names = ("rbx", "rcx", "rdx", "rsi", "rdi", "rbp")
    registers = {name: data.draw(st.integers(0, 0xFFFF)) for name in names}
    guest = boot_guest(sector(bytes((0xCD, vector, 0xF4))), "call")
    report = run_guest(
        Request(guest, registers={**registers, "rax": function}, timeout=2, max_steps=2000)
    )
    assert report.outcome in Outcome


@given(st.binary(max_size=600))
def test_random_bytes_make_a_boot_sector_or_not(data: bytes) -> None:
    if is_boot_sector(data):
        assert boot_guest(data, "random").disk == data
    else:
        with pytest.raises(GuestError, match="55 aa"):
            boot_guest(data, "random")


def test_a_boot_sector_needs_a_mib() -> None:
    with pytest.raises(GuestError, match="--memory 1M"):
        boot_guest(sector(b""), "boot", memory=0x10000)


def test_floppies_have_their_geometry() -> None:
    assert Disk(bytes(1474560)).geometry == (80, 2, 18)
    assert Disk(bytes(512)).geometry == (1, 16, 63)


def test_what_is_written_to_the_disk_stays_beside_the_image() -> None:
    image = bytes(1024)
    disk = Disk(image)
    disk.write(1, b"x" * 512)
    assert disk.read(0, 2) == bytes(512) + b"x" * 512
    assert image == bytes(1024)


@pytest.mark.kvm
@pytest.mark.gcc
def test_the_video_mode_set_is_the_one_told(boot: Boot) -> None:
    report = boot(
        """mov $0x0013, %ax
        int $0x10
        mov $0x0f, %ah
        int $0x10
        mov %al, %bl
        mov $0x0e41, %ax
        int $0x10
        mov $0x0003, %ax
        int $0x10
        hlt""",
        (0x449, 1),
        (0xB8000, 2),
    )
    assert report.registers.rbx & 0xFF == 0x13
    assert report.memory == {0x449: b"\3", 0xB8000: b" \7"}


@pytest.mark.kvm
@pytest.mark.gcc
def test_the_cursors_shape_is_kept_and_a_vga_is_told(boot: Boot) -> None:
    report = boot(
        """mov $1, %ah
        mov $0x2607, %cx
        int $0x10
        xor %cx, %cx
        mov $3, %ah
        int $0x10
        mov $0x1a00, %ax
        int $0x10
        hlt"""
    )
    registers = report.registers
    assert (registers.rcx, registers.rbx, registers.rax & 0xFF) == (0x2607, 8, 0x1A)


@pytest.mark.kvm
@pytest.mark.gcc
@pytest.mark.parametrize("stepped", [False, True])
def test_a_wait_takes_its_time(boot: Boot, stepped: bool) -> None:
    report = boot(
        """clc
        mov $0x86, %ah
        mov $0, %cx
        mov $50000, %dx
        int $0x15
        setc %bl
        hlt""",
        stepped=stepped,
    )
    assert report.registers.rbx & 0xFF == 0
    assert report.exits["IO"] > 2  # in naps
    assert report.seconds >= 0.05


@pytest.mark.kvm
@pytest.mark.gcc
def test_a_wait_can_be_interrupted(assemble: Callable[[str], bytes]) -> None:
    code = assemble("mov $0x86, %ah; mov $0xffff, %cx; int $0x15; hlt")
    assert run_guest(Request(boot_guest(code, "boot"), timeout=0.2)).outcome is Outcome.TIMEOUT


@pytest.mark.kvm
@pytest.mark.gcc
def test_a_block_is_moved_beyond_1_mib(boot: Boot) -> None:
    report = boot(
        """mov $0x87, %ah
        mov $8, %cx
        mov $table, %si
        int $0x15
        hlt
        table: .quad 0, 0
        .word 0xffff, 0x7c00; .byte 0, 0x93, 0, 0
        .word 0xffff, 0x0000; .byte 0x20, 0x93, 0, 0""",
        (0x7C00, 16),
        (0x200000, 16),
    )
    assert report.memory[0x7C00] == report.memory[0x200000]
    assert report.registers.rax >> 8 & 0xFF == 0


@pytest.mark.kvm
@pytest.mark.gcc
def test_a_floppys_type_is_told_with_its_geometry(boot: Boot) -> None:
    report = boot("mov $8, %ah; mov $0, %dl; int $0x13; hlt", rest=bytes(1474560 - 512))
    registers = report.registers
    assert (registers.rbx, registers.rcx, registers.rdx) == (4, 0x4F12, 0x0101)


@pytest.mark.kvm
@pytest.mark.gcc
@pytest.mark.parametrize("stepped", [False, True])
def test_the_timers_ticks_are_counted_in_the_bios_data_area(boot: Boot, stepped: bool) -> None:
    report = boot(
        """mov 0x46c, %bx
        again: mov 0x46c, %ax
        sub %bx, %ax
        jz again
        hlt""",
        stepped=stepped,
    )
    assert 1 <= report.registers.rax & 0xFFFF < 0x100
