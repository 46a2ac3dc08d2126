"""What a person at the real gdb sees."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.gdb_server import ServeEnd
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession

from .gdb_client import Served

pytestmark = [pytest.mark.kvm, pytest.mark.gdb]

Serve = Callable[..., Served]

#: From real mode by protected to long mode, where it marks R15 and halts.
SWITCH = """
    .code16
    cli
    lgdt  %cs:gdtr
    mov   %cr0, %eax
    or    $1, %al
    mov   %eax, %cr0
    ljmpl $8, $protected
    .code32
protected:
    mov   $16, %ax
    mov   %ax, %ds
    movl  $0x11003, 0x10000
    mov   %cr4, %eax
    or    $0x20, %eax
    mov   %eax, %cr4
    mov   $0x10000, %eax
    mov   %eax, %cr3
    movl  $0x12003, 0x11000
    movl  $0x83, 0x12000
    mov   %cr0, %eax
    or    $0x80000000, %eax
    mov   %eax, %cr0
    ljmpl $24, $long
    .code64
long:
    mov   $0x1122334455667788, %r15
    nop
    hlt
    .balign 8
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdtr:
    .word . - gdt - 1
    .long gdt
"""


@pytest.fixture
def serve() -> Iterator[Serve]:
    opened: list[Served] = []

    def build(code: bytes | str, **options: Any) -> Served:
        image = bytes.fromhex(code) if isinstance(code, str) else code
        engine = options.pop("engine", "kvm")
        vcpus = options.pop("vcpus", 1)
        guest = replace(flat(image, "test guest", **options), vcpus=vcpus)
        session = VcpuSession(guest, engine=engine)
        opened.append(Served(session))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


def assembled(tmp_path: Path, source: str) -> tuple[bytes, dict[str, int], Path]:
    """A flat image for 0x1000, its symbols, and the ELF file with them."""
    (tmp_path / "guest.S").write_text(f".globl _start\n_start:\n{source}")
    elf, image = tmp_path / "guest.elf", tmp_path / "guest.bin"
    subprocess.run(
        ["gcc", "-g", "-nostdlib", "-static", "-Wl,-Ttext=0x1000,--build-id=none,-z,norelro",
         "-o", elf, tmp_path / "guest.S"],
        check=True,
    )  # fmt: skip
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", elf, image], check=True)
    listed = subprocess.run(["nm", elf], check=True, capture_output=True, text=True).stdout
    symbols = {line.split()[2]: int(line.split()[0], 16) for line in listed.splitlines()}
    return image.read_bytes(), symbols, elf


def test_it_connects_and_shows_registers_and_code(serve: Serve) -> None:
    told = serve("bac803 b034 ee f4").gdb("info registers", "x/2xb $pc", "x/i $cs_base+$pc")
    assert re.search(r"^rip +0x1000 +0x1000$", told, re.MULTILINE)
    assert re.search(r"^rsp +0x8000 +0x8000$", told, re.MULTILINE)
    assert re.search(r"^cr0 +0x60000010 +\[ ET NW CD \]$", told, re.MULTILINE)
    assert re.search(r"0x1000:\s+0xba\s+0xc8", told)
    assert "=> 0x1000:\tmov" in told


def test_it_steps_and_goes_to_breakpoints_of_both_kinds(serve: Serve) -> None:
    told = serve("40 40 40 40 40 ebfd").gdb(
        "stepi", "p/x $rip", "break *0x1003", "hbreak *0x1005", "continue", "continue", "p $rax"
    )
    assert "$1 = 0x1001" in told
    assert "Breakpoint 1, 0x0000000000001003" in told
    assert "Breakpoint 2, 0x0000000000001005" in told
    assert "$2 = 5" in told


@pytest.mark.no_cover
def test_a_breakpoint_in_a_loop_is_met_each_time_and_counted(serve: Serve) -> None:
    told = serve("40 ebfd").gdb("break *0x1000", "ignore 1 99", "continue", "p $rax")
    assert "$1 = 100" in told


def test_a_breakpoint_leaves_the_guests_memory_as_it_is(serve: Serve) -> None:
    # The guest reads its own code: mov al, [0x1005]; out 0xf4, al at 0x1003; nop at 0x1005.
    served = serve("a00510 e6f4 90")
    told = served.gdb("break *0x1005", "hbreak *0x1003", "continue", "p/x $al")
    assert "$1 = 0x90" in told


def test_it_sets_registers_and_memory(serve: Serve) -> None:
    told = serve("9090 ebfc").gdb(
        "set $rax = 0x1122334455667788",
        "p/x $rax",
        "set {int}0x3000 = 0x12345678",
        "x/4xb 0x3000",
        "set $xmm3.uint128 = 7",
        "p $xmm3.v4_int32",
        "set $st0 = 2.5",
        "p $st0",
        "set $eflags = 0x246",
        "p $eflags",
        "set $gs_base = 0x5000",
        "set $rip = 0x1001",
        "stepi",
        "p/x $gs_base",
        "p $cr8 = 3",
        "restore /dev/null binary 0x3000",
        "dump memory /dev/null 0x1000 0x9000",
    )
    assert "$1 = 0x1122334455667788" in told
    assert re.search(r"0x3000:\s+0x78\s+0x56\s+0x34\s+0x12", told)
    assert "$2 = {7, 0, 0, 0}" in told
    assert "$3 = 2.5" in told
    assert "$4 = [ PF ZF IF ]" in told
    assert "0x0000000000001002 in" in told
    assert "$5 = 0x5000" in told
    assert "$6 = 3" in told


def test_a_value_that_does_not_fit_is_refused_with_the_reason(serve: Serve) -> None:
    assert "cs: 0x12345 does not fit 16 bits" in serve("ebfe").gdb("set $cs = 0x12345", "p $rip")


def test_memory_that_is_not_there_can_not_be_accessed(serve: Serve) -> None:
    told = serve("ebfe", mode=Mode.LONG).gdb("x/xg 0x10000000000")
    assert "Cannot access memory at address 0x10000000000" in told


def test_a_spinning_guest_is_interrupted(serve: Serve) -> None:
    told = serve("ebfe").gdb(
        "python import threading; threading.Timer(0.3, lambda: gdb.post_event("
        "lambda: gdb.execute('interrupt'))).start()",
        "continue",
        "p $rip",
    )
    assert "Program received signal SIGINT" in told
    assert "0x1000" in told


def test_the_end_of_the_guest_is_shown_and_its_state_kept(serve: Serve) -> None:
    served = serve("b8 3412 f4")
    told = served.gdb("continue", "p/x $ax", "x/xb 0x1003", "continue")
    assert "kdash: the guest has ended: HLT at 0x1003" in told
    assert "Program received signal SIGTERM" in told
    assert "$1 = 0x1234" in told
    assert re.search(r"0x1003:\s+0xf4", told)
    assert "exited normally" in told
    assert served.finish() is ServeEnd.GUEST


def test_the_exit_value_of_a_guest_is_its_exit_code(serve: Serve) -> None:
    assert "exited with code 03" in serve("b003 e6f4").gdb("continue", "continue")


def test_a_triple_fault_is_a_segmentation_fault(serve: Serve) -> None:
    told = serve("90 0f0b", mode=Mode.PROTECTED).gdb("continue", "p $rip")
    assert "triple fault" in told
    assert "Program received signal SIGSEGV" in told
    assert "0x1001" in told


def test_an_extended_connection_runs_a_guest_again(serve: Serve) -> None:
    told = serve("40 f4").gdb(
        "continue", "p $rax", "run", "p $rax", "continue", "p $rip", remote="extended-remote",
        file="/bin/true",
    )  # fmt: skip
    assert "$1 = 1" in told
    assert told.count("the guest has ended") >= 1


def test_killing_ends_the_server(serve: Serve) -> None:
    served = serve("ebfe")
    served.gdb("kill")
    assert served.finish() is ServeEnd.KILLED


def test_one_description_holds_from_16_over_32_to_64_bits(serve: Serve, tmp_path: Path) -> None:
    image, at, elf = assembled(tmp_path, SWITCH)
    told = serve(image).gdb(
        "info registers cr0 efer cs",
        "hbreak protected",
        "continue",
        "monitor cs",
        "set $efer = 0x100",  # KVM lets the guest do so only where CPUID tells long mode
        "hbreak long",
        "continue",
        "monitor cs",
        "stepi",
        "p/x $r15",
        "info registers cr0 efer cs",
        file=str(elf),
    )
    assert f"Breakpoint 1, protected () at {tmp_path}/guest.S" in told
    assert "protected mode, 32-bit code" in told
    assert f"Breakpoint 2, long () at {tmp_path}/guest.S" in told
    assert "long mode, 64-bit code" in told
    assert "$1 = 0x1122334455667788" in told
    assert re.search(r"efer +0x500 +\[ LME LMA \]", told)
    assert f"linear {at['long']:#x}" in told


def test_monitor_shows_exits_with_their_meaning(serve: Serve) -> None:
    told = serve("b041 e6e9 baf803 ee f4").gdb(
        "monitor exits", "stepi 4", "monitor exits", "monitor exits 1", "monitor exits x",
        "monitor", "monitor nonsense",
    )  # fmt: skip
    assert "no exit yet" in told
    assert len(re.findall(r"IO +out 0x3f8, 1 byte: 0x41 'A'", told)) == 2
    assert len(re.findall(r"IO +out 0xe9, 1 byte: 0x41 'A'", told)) == 1
    assert "exits: x is no number from 1" in told
    assert told.count("exits [N]") == 1
    assert "no command nonsense" in told


def test_real_mode_addresses_are_found_with_the_base_of_cs(serve: Serve) -> None:
    # jmp 0x100:2, where mov ax, 0x1234 stands at linear 0x1002 + 5 - 2
    served = serve("ea 0500 0001 b83412 f4")
    told = served.gdb("stepi", "monitor cs", "monitor code 1", "x/3xb $cs_base+$rip", "p $rip")
    assert "CS 0x0100, base 0x1000" in told
    assert "linear 0x1005" in told
    assert re.search(r"=> 0x5 +b83412 +mov ax,0x1234", told)
    assert re.search(r"0x1005:\s+0xb8\s+0x34\s+0x12", told)


def test_threads_are_vcpus(serve: Serve) -> None:
    told = serve("ebfe").gdb("info threads", "thread 1")
    assert "Thread 1 (VCPU 0: ready, real mode, 16-bit code, at 0x1000)" in told


TWO = "85ff 7503 40ebfd 43ebfd"  # RDI 0 counts in RAX, 1 in RBX


def test_several_vcpus_are_threads_with_registers_of_their_own(serve: Serve) -> None:
    told = serve(TWO, vcpus=2).gdb(
        "info threads",
        "thread 2",
        "p $rdi",
        "p/x $rsp",
        "stepi 3",
        "p $rip",
        "thread 1",
        "p $rip",
        "stepi 3",
        "p $rip",
        "break *0x1008",
        "continue",
        "thread",
        "monitor vcpus",
    )
    assert "* 1    Thread 1 (VCPU 0" in told
    assert "  2    Thread 2 (VCPU 1" in told
    assert re.findall(r"^\$\d+ = .*$", told, re.MULTILINE) == [
        "$1 = 1",
        "$2 = 0x7c00",
        "$3 = (void (*)()) 0x1008",
        "$4 = (void (*)()) 0x1000",
        "$5 = (void (*)()) 0x1005",
    ]
    assert "Thread 2 hit Breakpoint 1, 0x0000000000001008" in told
    assert "Current thread is 2" in told
    assert "VCPU 1: runnable" in told


def test_one_vcpu_is_set_and_the_other_stays(serve: Serve) -> None:
    told = serve(TWO, vcpus=2).gdb(
        "thread 2", "set $r8 = 7", "thread 1", "p $r8", "thread apply all p $r8"
    )
    assert re.findall(r"= (\d)$", told, re.MULTILINE) == ["0", "7", "0"]


def test_the_emulator_is_debugged_in_the_same_way(serve: Serve) -> None:
    told = serve("40 40 40 f4", engine="emulator").gdb(
        "break *0x1002", "continue", "p $rax", "p $xmm0", "set {char}0x1002=0x90", "stepi", "p $rax"
    )
    assert "Breakpoint 1, 0x0000000000001002" in told
    assert "$1 = 2" in told
    assert "uint128 = 0" in told
    assert "$3 = 2" in told


#: Reads the byte at 0x3000, writes it to 0x3005, counts in the word at 0x3000, and again.
WATCHED = "a00030 a20530 fec0 ff060030 ebf2"


def test_a_watchpoint_stops_where_the_value_changes(serve: Serve) -> None:
    told = serve(WATCHED).gdb(
        "watch *(short*)0x3000", "continue", "p/x $rip", "continue", "x/1xh 0x3000", "info watch"
    )
    assert "Hardware watchpoint 1: *(short*)0x3000" in told
    assert re.search(r"Old value = 0\nNew value = 1\n", told)
    assert re.search(r"Old value = 1\nNew value = 2\n", told)
    assert "$1 = 0x100c" in told
    assert re.search(r"0x3000:\s+0x0002", told)
    assert "already hit 2 times" in told


def test_a_watchpoint_is_met_by_a_single_step_too(serve: Serve) -> None:
    told = serve("c606003005 ebfe").gdb("watch *(char*)0x3000", "stepi", "p $rip")
    assert "New value = 5" in told
    assert "0x1005" in told


def test_read_and_access_watchpoints_see_the_access(serve: Serve) -> None:
    told = serve(WATCHED).gdb("rwatch *(char*)0x3000", "continue", "p/x $rip", "delete",
        "awatch *(char*)0x3005", "continue", "p/x $rip")  # fmt: skip
    assert "Hardware read watchpoint 1" in told
    assert "$1 = 0x1003" in told
    assert "Hardware access (read/write) watchpoint 2" in told
    assert "$2 = 0x1006" in told


def test_more_can_not_be_watched_than_the_limit(serve: Serve) -> None:
    told = serve(WATCHED).gdb("watch *(char(*)[5000])0x3000", "continue")
    assert "Could not insert hardware watchpoint 1" in told


def test_watchpoints_are_gone_when_gdb_deletes_them(serve: Serve) -> None:
    told = serve(WATCHED).gdb(
        "watch *(short*)0x3000", "continue", "delete", "break *0x1006", "continue", "continue",
        "x/1xh 0x3000",
    )  # fmt: skip
    assert told.count("New value") == 1
    assert re.search(r"0x3000:\s+0x0002", told)


@pytest.mark.parametrize(("place", "said"), [("0x5", "Breakpoint 1, "), ("0x1005", "SIGTRAP")])
def test_with_a_base_of_cs_a_breakpoint_is_rip_or_linear(
    serve: Serve, place: str, said: str
) -> None:
    # jmp 0x100:0; there nops at RIP 3 to 5, linear 0x1003 to 0x1005
    told = serve("ea 0600 0001 90 90 90 f4").gdb(
        "stepi", f"break *{place.replace('5', '7')}", "continue", "p $rip", "monitor cs"
    )
    assert said in told
    assert "linear 0x1007" in told


def test_a_hardware_breakpoint_is_met_at_full_speed(serve: Serve) -> None:
    served = serve("b9ffff 49 75fd 90 f4")  # mov cx, 0xffff; loop: dec cx; jnz; nop; hlt
    told = served.gdb("monitor record off", "hbreak *0x1006", "continue", "p $rcx")
    assert "Breakpoint 1, 0x0000000000001006" in told
    assert "$1 = 0" in told
    assert served.session.snapshot().steps == 0


def test_monitor_catch_stops_at_exits(serve: Serve) -> None:
    # out 0xe9, al; out 0x80, al; mov [0xb0000000], al by way of DS; hlt
    told = serve("e6e9 e680 90 e680 f4").gdb(
        "monitor catch IO 0x80",
        "continue",
        "p/x $rip",
        "continue",
        "p/x $rip",
        "monitor uncatch",
        "monitor catch nothing",
        "monitor catch HLT 0x80",
        "continue",
    )
    assert "stops at IO 0x80" in told
    assert len(re.findall(r"kdash: exit stop 1: out 0x80", told)) == 2
    assert ("$1 = 0x1004" in told, "$2 = 0x1007" in told) == (True, True)
    assert "catch: no exit 'NOTHING'" in told
    assert "the guest has ended" in told


def test_monitor_walk_shows_each_level(serve: Serve) -> None:
    told = serve("ebfe", mode=Mode.LONG).gdb(
        "monitor walk 0x1234", "monitor walk 0xffffffff80001234", "monitor walk 0x8000000000",
        "monitor walk", "monitor walk x",
    )  # fmt: skip
    assert "0x1234, paging 4-level" in told
    assert "PML4  [511]" in told
    assert told.count("physical 0x1234 (") == 2
    assert "not mapped: " in told
    assert "walk: nothing is no address" in told
    assert "walk: x is no address" in told


@pytest.mark.no_cover
def test_next_steps_a_line_through_a_loop_of_many_instructions(
    serve: Serve, tmp_path: Path
) -> None:
    source = """
    .code16
    mov $500, %cx
    dec %cx; jnz .-1
    nop
    hlt
    """
    image, _, elf = assembled(tmp_path, source)
    told = serve(image).gdb("next", "next", "p $rip", "p $rcx", file=str(elf))
    assert "$2 = 0" in told


def test_monitor_types_on_the_serial_port(serve: Serve) -> None:
    # mov dx, 0x3fd; in al, dx; test al, 1; jz; mov dl, 0xf8; in al, dx; hlt
    told = serve("bafd03 ec a801 74fb b2f8 ec f4").gdb(
        r"monitor serial \x41b", "continue", "p/x $al", r"monitor serial \u1234", "monitor serial"
    )
    assert "serial port: 2" in told
    assert "$1 = 0x41" in told
    assert "beyond a byte" in told
    assert "which text?" in told


def test_monitor_presses_keys(serve: Serve) -> None:
    told = serve("e464 a801 74fa e460 f4").gdb("monitor keys a", "continue", "p/x $al")
    assert "keys pressed: 1" in told
    assert "$1 = 0x1e" in told  # the scan code of a


#: Counts in the word at 0x3000 and in AX, prints a byte each time.
COUNTS = "ff060030 40 e6e9 ebf7"


def test_it_steps_back_as_it_came(serve: Serve) -> None:
    told = serve(COUNTS).gdb(
        "stepi 9",
        "p $rip",
        "p $rax",
        "x/1xh 0x3000",
        "reverse-stepi",
        "reverse-stepi 4",
        "p $rip",
        "p $rax",
        "x/1xh 0x3000",
        "stepi 5",
        "p $rip",
        "p $rax",
        "x/1xh 0x3000",
    )
    values = re.findall(r"^\$\d = .*?(\w+)$", told, re.MULTILINE)
    assert values == ["0x1004", "2", "0x1000", "1", "0x1004", "2"]
    assert re.findall(r"0x3000:\s+(\w+)", told) == ["0x0003", "0x0001", "0x0003"]


def test_it_runs_back_to_a_breakpoint(serve: Serve) -> None:
    told = serve(COUNTS).gdb(
        "break *0x1005", "ignore 1 3", "continue", "p $rax", "reverse-continue", "p $rax",
        "reverse-continue", "p $rax", "continue", "p $rax",
    )  # fmt: skip
    assert re.findall(r"^\$\d = (\d)$", told, re.MULTILINE) == ["4", "3", "2", "3"]
    assert told.count("Breakpoint 1, 0x0000000000001005") == 4


def test_it_runs_back_to_where_a_value_changed(serve: Serve) -> None:
    told = serve(COUNTS).gdb(
        "stepi 10", "watch *(short*)0x3000", "reverse-continue", "p $rip", "x/1xh 0x3000"
    )
    assert "Old value = 3" in told
    assert "New value = 2" in told
    assert re.search(r"0x3000:\s+0x0002", told)


def test_a_watchpoint_met_before_does_not_show_in_the_past(serve: Serve) -> None:
    told = serve(COUNTS).gdb(
        "watch *(short*)0x3000", "continue", "reverse-stepi", "continue", "reverse-continue"
    )
    assert re.findall(r"(?:Old|New) value = (\d)", told) == ["0", "1", "1", "0", "0", "1", "1", "0"]


def test_at_the_begin_of_the_recording_there_is_no_more_history(serve: Serve) -> None:
    told = serve(COUNTS).gdb(
        "reverse-stepi", "stepi 2", "reverse-stepi 2", "p $rip", "reverse-stepi", "stepi 3",
        "reverse-continue", "p $rip",
    )  # fmt: skip
    assert "nothing is recorded yet" in told
    assert told.count("No more reverse-execution history") == 3
    assert len(re.findall(r"^\$\d = .* 0x1000$", told, re.MULTILINE)) == 2


def test_it_goes_back_from_the_end_of_the_guest(serve: Serve) -> None:
    served = serve("40 40 40 f4")
    told = served.gdb(
        "continue", "reverse-stepi", "p $rip", "reverse-stepi", "p $rax", "continue", "p $rip",
        "continue",
    )  # fmt: skip
    assert told.count("the guest has ended: HLT at 0x1003") == 2
    assert re.findall(r"^\$\d = .*?(\w+)$", told, re.MULTILINE) == ["0x1003", "2", "0x1004"]
    assert "exited normally" in told


def test_the_past_is_changed_only_after_resume_here(serve: Serve) -> None:
    told = serve(COUNTS).gdb(
        "stepi 9",
        "reverse-stepi 7",
        "set $rax = 40",
        "set {char}0x3000 = 9",
        "monitor resume-here",
        "set $rax = 50",
        "set {char}0x3000 = 9",
        "stepi 3",
        "p $rax",
        "x/1xh 0x3000",
        "p $rip",
    )
    assert "monitor resume-here makes this moment" in told
    assert "Cannot access memory" in told
    assert "the guest is at 0x1005; what came later is forgotten" in told
    assert "= 50" in told
    assert re.search(r"0x3000:\s+0x000a", told)


def test_a_run_at_full_speed_is_one_step_back(serve: Serve) -> None:
    told = serve(COUNTS).gdb(
        "stepi", "monitor record off", "break *0x1007", "continue", "p $rax", "monitor record",
        "reverse-stepi", "p $rip", "monitor record nonsense", "monitor record on",
    )  # fmt: skip
    assert "going back, such a run is one step" in told
    assert re.search(r"^\$2 = .* 0x1004$", told, re.MULTILINE)
    assert "record: on or off?" in told
    assert "step by step, each recorded" in told


def test_without_a_recording_going_back_is_not_offered(serve: Serve) -> None:
    told = serve(COUNTS, engine="emulator").gdb("stepi", "reverse-stepi", "monitor record")
    assert "Target remote does not support this command" in told
    assert "nothing is recorded: the emulator can't" in told


def test_two_vcpus_go_back_in_the_order_they_went(serve: Serve) -> None:
    told = serve(TWO, vcpus=2).gdb(
        "thread 2", "stepi 4", "thread 1", "stepi 2", "reverse-stepi 6", "thread apply all p $rip"
    )
    assert told.count("0x1000") >= 2


def test_floating_point_registers_go_back_too(serve: Serve) -> None:
    told = serve(COUNTS).gdb(
        "stepi", "p $xmm0.uint128", "set $xmm0.uint128 = 7", "stepi", "p $xmm0.uint128",
        "reverse-stepi 2", "p $xmm0.uint128",
    )  # fmt: skip
    assert re.findall(r"^\$\d = (\d)$", told, re.MULTILINE) == ["0", "7", "0"]
