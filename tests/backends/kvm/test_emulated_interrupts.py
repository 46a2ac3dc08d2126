"""Interrupts and exceptions of guests on the emulator, and what it refuses."""

from __future__ import annotations

import pytest

from kdash.backends.kvm.engines import EMULATOR
from kdash.backends.kvm.facts import Mode, Outcome
from kdash.backends.kvm.guests import Guest, flat
from kdash.backends.kvm.run import Report, Request, run_guest
from tests.backends.kvm.conftest import Assemble

pytestmark = pytest.mark.gcc


def run(guest: Guest) -> Report:
    """Run at full speed and step by step, which must end alike."""
    reports = [
        run_guest(Request(guest, timeout=20, engine=EMULATOR, step_by_step=stepped))
        for stepped in (False, True)
    ]
    one, other = reports
    assert (one.outcome, one.detail, one.registers) == (
        other.outcome,
        other.detail,
        other.registers,
    )
    return one


#: Protected mode: gates for vectors 0x21 (interrupt), 0x22 (trap) and 0x23 (a task), and #GP.
PROTECTED = """
    mov $first, %eax
    mov %ax, idt+0x21*8
    mov $second, %eax
    mov %ax, idt+0x22*8
    mov $protection, %eax
    mov %ax, idt+13*8
    lidt idtr
    {body}
    hlt
first:
    pushf
    pop %ebx
    iret
second:
    pushf
    pop %esi
    iret
protection:
    pop %edi
    hlt
    .balign 8
idtr: .word 0x24*8-1
    .long idt
    .balign 8
idt: .fill 13, 8, 0
    .quad 0x00008e0000080000
    .fill 19, 8, 0
    .quad 0x00008e0000080000, 0x00008f0000080000, 0x0000850000180000
"""


def protected(assemble_at: Assemble, body: str) -> Report:
    image = assemble_at(PROTECTED.format(body=body), 32)
    return run(flat(image, "protected", mode=Mode.PROTECTED, memory=1 << 21))


def test_an_interrupt_gate_clears_if_and_iret_brings_it_back(assemble_at: Assemble) -> None:
    report = protected(assemble_at, "sti; int $0x21; pushf; pop %ecx; cli")
    assert report.outcome is Outcome.HLT
    assert (report.registers.rbx & 0x200, report.registers.rcx & 0x200) == (0, 0x200)
    assert report.registers.rsp == 0x8000


def test_a_trap_gate_leaves_if(assemble_at: Assemble) -> None:
    report = protected(assemble_at, "sti; int $0x22; cli")
    assert (report.outcome, report.registers.rsi & 0x200) == (Outcome.HLT, 0x200)


def test_an_interrupt_beyond_the_table_is_a_protection_fault_that_names_it(
    assemble_at: Assemble,
) -> None:
    report = protected(assemble_at, "int $0x40")
    assert (report.outcome, report.registers.rdi) == (Outcome.HLT, 0x40 * 8 + 2)


def test_a_vector_without_a_gate_is_a_protection_fault_that_names_it(
    assemble_at: Assemble,
) -> None:
    report = protected(assemble_at, "xor %ecx, %ecx; div %ecx")
    assert (report.outcome, report.detail) == (Outcome.SHUTDOWN, report.detail)
    report = protected(assemble_at, "int $0x20")
    assert (report.outcome, report.registers.rdi) == (Outcome.HLT, 0x20 * 8 + 2)


def test_a_task_gate_is_said_to_be_beyond_the_emulator(assemble_at: Assemble) -> None:
    report = protected(assemble_at, "int $0x23")
    assert report.outcome is Outcome.INTERNAL_ERROR
    assert report.detail.endswith("the emulator can't do this: a task gate for interrupt 0x23")


def test_a_user_program_calls_its_kernel_and_comes_back(assemble_at: Assemble) -> None:
    """Long mode, CPL 3: the stack is switched to RSP0 of the TSS, and IRETQ goes back."""
    source = """
        orb $4, 0x10000
        orb $4, 0x11000
        orb $4, 0x12000
        lea tss(%rip), %rax
        lea gdt(%rip), %rbx
        mov %ax, 42(%rbx)
        mov %rbx, gdtr+2(%rip)
        lgdt gdtr(%rip)
        mov $0x28, %ax
        ltr %ax
        lea kernel(%rip), %rax
        lea idt(%rip), %rbx
        mov %ax, 0x80*16(%rbx)
        movw $8, 0x80*16+2(%rbx)
        movw $0xee00, 0x80*16+4(%rbx)
        mov %rbx, idtr+2(%rip)
        lidt idtr(%rip)
        push $0x1b
        push $0x6000
        push $0x202
        push $0x23
        lea user(%rip), %rax
        push %rax
        iretq
    user:
        mov %cs, %r8
        int $0x80
        mov %rsp, %r9
        int $0x80
    kernel:
        mov %cs, %r10
        mov %rsp, %r11
        cmp $0, %r9
        jne done
        iretq
    done:
        mov 24(%rsp), %r12
        hlt
        .balign 8
    gdt: .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff
        .quad 0x0000890000000067, 0
    gdtr: .word 55
        .quad 0
        .balign 8
    tss: .long 0
        .quad 0x7000
        .fill 92, 1, 0
    idtr: .word 0x81*16-1
        .quad 0
        .balign 16
    idt: .fill 0x81*16, 1, 0"""
    report = run(flat(assemble_at(source, 64), "user", mode=Mode.LONG, memory=1 << 21))
    assert report.outcome is Outcome.HLT, report.detail
    registers = report.registers
    assert (registers.r8, registers.r10) == (0x23, 8)
    assert (registers.r9, registers.r12) == (0x6000, 0x6000)
    assert registers.r11 == 0x7000 - 5 * 8


def test_a_switch_from_real_to_long_mode(assemble_at: Assemble) -> None:
    source = """
        lgdt gdtr
        mov %cr0, %eax
        or $1, %al
        mov %eax, %cr0
        ljmp $16, $protected
        .code32
    protected:
        mov $24, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov %cr4, %eax
        or $0x20, %eax
        mov %eax, %cr4
        movl $0x3003, 0x2000
        movl $0x83, 0x3000
        movl $0x83, 0x4000
        movl $0x4003, 0x3000
        mov $0x2000, %eax
        mov %eax, %cr3
        mov $0xc0000080, %ecx
        mov $0x100, %eax
        xor %edx, %edx
        wrmsr
        mov %cr0, %eax
        or $0x80000000, %eax
        mov %eax, %cr0
        ljmp $8, $long
        .code64
    long:
        mov $0x123456789abcdef0, %rbx
        mov %rbx, %r15
        hlt
        .balign 8
    gdt: .quad 0, 0x00af9b000000ffff, 0x00cf9b000000ffff, 0x00cf93000000ffff
    gdtr: .word 31
        .long gdt"""
    report = run(flat(assemble_at(source, 16), "switch", mode=Mode.REAL, memory=1 << 21))
    assert (report.outcome, report.registers.r15) == (Outcome.HLT, 0x123456789ABCDEF0)
