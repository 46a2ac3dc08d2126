"""Guests that do what kernels do: switch modes, handle faults, change their own code."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kdash.backends.kvm.engines import EMULATOR, KVM
from kdash.backends.kvm.facts import Mode, Outcome
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.run import Report, Request, run_guest

pytestmark = [pytest.mark.kvm, pytest.mark.gcc]

Run = Callable[..., Report]

PRINT_DIGIT = "mov $0x3f8, %dx; out %al, %dx"

SWITCH = f"""
    .code16
        mov $'1', %al; {PRINT_DIGIT}
        cli
        lgdt table
        mov %cr0, %eax; or $1, %eax; mov %eax, %cr0
        ljmp $0x08, $protected
    .code32
    protected:
        mov $0x18, %ax; mov %ax, %ds; mov %ax, %ss; mov %ax, %es
        mov $'3', %al; {PRINT_DIGIT}
        # PML4 at 0x20000, PDPT at 0x21000, one page directory with one page of 2 MiB
        movl $0x21003, 0x20000
        movl $0x22003, 0x21000
        movl $0x00083, 0x22000
        mov $0x20000, %eax; mov %eax, %cr3
        mov %cr4, %eax; or $0x20, %eax; mov %eax, %cr4
        mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr
        mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0
        ljmp $0x10, $long
    .code64
    long:
        mov $'6', %al; {PRINT_DIGIT}
        mov $0x1122334455667788, %rbx
        hlt
        .balign 8
    gdt:
        .quad 0
        .quad 0x00cf9b000000ffff
        .quad 0x00af9b000000ffff
        .quad 0x00cf93000000ffff
    table: .word 31; .long gdt
"""

PAGE_FAULT = f"""
    .code64
        # gate 14 at 0x4000 + 14 * 16
        lea handler(%rip), %rax
        mov %ax, 0x40e0
        movw $0x08, 0x40e2
        movw $0x8e00, 0x40e4
        shr $16, %rax
        mov %ax, 0x40e6
        lidt table(%rip)
        mov $0x40001000, %ecx
        mov (%rcx), %bl         # nothing is mapped at 1 GiB
        hlt
    handler:
        mov %cr2, %rsi
        pop %rdi                # the error code
        movq $0x12003, 0x11008  # let the second GiB be the first
        mov $'F', %al; {PRINT_DIGIT}
        iretq
    table: .word 0xfff; .quad 0x4000
"""

SELF_MODIFYING = f"""
    .code16
        mov $3, %cx
    again:
        mov $'a', %al
    letter = . - 1
        {PRINT_DIGIT}
        incb letter
        loop again
        hlt
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Assembles a source for 0x1000 and runs it to its end."""

    def assemble_and_run(source: str, mode: Mode, *, stepped: bool, engine: str = KVM) -> Report:
        (tmp_path / "guest.s").write_text(f".globl _start\n_start:\n{source}")
        subprocess.run(
            ["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-Ttext=0x1000",
             "-Wl,--oformat=binary", "-o", tmp_path / "guest", tmp_path / "guest.s"],
            check=True, capture_output=True,
        )  # fmt: skip
        guest = flat((tmp_path / "guest").read_bytes(), "guest", mode=mode)
        return run_guest(Request(guest, timeout=20, step_by_step=stepped, engine=engine))

    return assemble_and_run


stepped_or_not = pytest.mark.parametrize("stepped", [False, True], ids=["full speed", "stepped"])


@stepped_or_not
@pytest.mark.parametrize("engine", [KVM, EMULATOR])
def test_a_guest_goes_from_16_over_32_to_64_bits(run: Run, stepped: bool, engine: str) -> None:
    report = run(SWITCH, Mode.REAL, stepped=stepped, engine=engine)
    assert (report.outcome, report.serial) == (Outcome.HLT, b"136")
    registers = report.registers
    assert registers.mode is Mode.LONG
    assert registers.rbx == 0x1122334455667788
    assert registers.efer & 0x500 == 0x500


@stepped_or_not
def test_a_page_fault_is_handled_and_the_instruction_done_again(run: Run, stepped: bool) -> None:
    report = run(PAGE_FAULT, Mode.LONG, stepped=stepped)
    assert (report.outcome, report.serial) == (Outcome.HLT, b"F")
    registers = report.registers
    assert registers.rsi == registers.cr2 == 0x40001000
    assert registers.rdi == 0  # a read by the supervisor from a page that is not present
    assert registers.rbx & 0xFF == 0x48  # the first byte of the guest itself


@stepped_or_not
@pytest.mark.parametrize("engine", [KVM, EMULATOR])
def test_a_guest_that_changes_its_code_runs_the_new_code(
    run: Run, stepped: bool, engine: str
) -> None:
    report = run(SELF_MODIFYING, Mode.REAL, stepped=stepped, engine=engine)
    assert (report.outcome, report.serial) == (Outcome.HLT, b"abc")
