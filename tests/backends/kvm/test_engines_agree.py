"""The same guests on KVM and on the emulator: outcome, exits, steps, final registers.

What may differ, and why:

- AF, which shifts and logic leave undefined, and RF, which a fault may leave set.
- INT n in protected and long mode and IRET in protected mode: the emulator does them, KVM
  without VT-x or AMD-V gives INTERNAL_ERROR.
- A real-mode exception beyond the IDT's limit: a triple fault on the emulator and with VT-x
  and AMD-V; KVM's own instruction emulator ignores the limit.
- SSE and x87 in ring 0: the emulator has them, KVM's instruction emulator has not.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from kdash.backends.kvm.board import Slice
from kdash.backends.kvm.engines import EMULATOR, KVM, open_machine, open_runner
from kdash.backends.kvm.facts import Exit, Mode, Outcome, Registers
from kdash.backends.kvm.guests import Guest, flat
from kdash.backends.kvm.images import make_guest
from kdash.backends.kvm.run import Report, Request, run_guest
from kdash.backends.kvm.user_devices import DeviceClass
from tests.backends.kvm.conftest import Assemble

pytestmark = [pytest.mark.kvm, pytest.mark.gcc]

#: KVM's own instruction emulator takes a fault, or an IRETQ, and the next instruction in one step.
AT_FULL_SPEED = (False,)


def defined(registers: Registers) -> Registers:
    """Without AF and RF."""
    return replace(registers, rflags=registers.rflags & ~0x10010)


def both(guest: Guest, paces: tuple[bool, ...] = (False, True), **options: Any) -> Report:
    """The report of KVM, after it was compared with the emulator's.

    Args:
        guest: the guest.
        paces: at full speed (False), step by step (True).
        options: more of the request.
    """
    for stepped in paces:
        one, other = (
            run_guest(Request(guest, timeout=20, engine=engine, step_by_step=stepped, **options))
            for engine in (KVM, EMULATOR)
        )
        assert (other.outcome, other.detail) == (one.outcome, one.detail)
        assert (other.exits, other.ports, other.mmio) == (one.exits, one.ports, one.mmio)
        assert (other.serial, other.debug_port) == (one.serial, one.debug_port)
        assert (other.teletype, other.memory) == (one.teletype, one.memory)
        assert other.steps == one.steps
        assert defined(other.registers) == defined(one.registers)
    return one


#: An IDT for one vector whose handler is at `handler`, and LIDT of it.
LONG_IDT = """
    lea handler(%rip), %rax
    lea idt(%rip), %rbx
    mov %ax, {vector}*16(%rbx)
    movw $8, {vector}*16+2(%rbx)
    movw $0x8e00, {vector}*16+4(%rbx)
    shr $16, %rax
    mov %ax, {vector}*16+6(%rbx)
    mov %rbx, idtr+2(%rip)
    lidt idtr(%rip)
"""
LONG_TABLES = """
    .balign 16
idtr: .word 32*16-1
    .quad 0
    .balign 16
idt: .fill 32*16, 1, 0
"""


def test_a_page_fault_handler_gets_address_and_error_code(assemble_at: Assemble) -> None:
    source = (
        LONG_IDT.format(vector=14)
        + f"""
        mov $0x60000000, %eax
        movb $5, (%rax)
    after:
        hlt
    handler:
        pop %rdi
        mov %cr2, %rsi
        lea after(%rip), %rcx
        mov %rcx, (%rsp)
        xor %ecx, %ecx
        iretq
    {LONG_TABLES}"""
    )
    report = both(
        flat(assemble_at(source, 64), "page fault", mode=Mode.LONG, memory=1 << 21), AT_FULL_SPEED
    )
    assert report.outcome is Outcome.HLT
    assert (report.registers.rdi, report.registers.rsi) == (2, 0x60000000)


def test_an_invalid_opcode_reaches_its_handler_in_long_mode(assemble_at: Assemble) -> None:
    source = LONG_IDT.format(vector=6) + f"ud2\nhlt\nhandler: addq $2, (%rsp)\niretq\n{LONG_TABLES}"
    report = both(
        flat(assemble_at(source, 64), "ud2", mode=Mode.LONG, memory=1 << 21), AT_FULL_SPEED
    )
    assert report.outcome is Outcome.HLT


def test_a_general_protection_fault_reaches_its_handler_in_protected_mode(
    assemble_at: Assemble,
) -> None:
    source = """
        mov $handler, %eax
        mov %ax, idt+13*8
        movw $8, idt+13*8+2
        movw $0x8e00, idt+13*8+4
        shr $16, %eax
        mov %ax, idt+13*8+6
        lidt idtr
        mov $0x38, %ax
        mov %ax, %ds
        nop
    handler:
        pop %edi
        pop %esi
        hlt
        .balign 16
    idtr: .word 32*8-1
        .long idt
        .balign 16
    idt: .fill 32*8, 1, 0"""
    guest = flat(assemble_at(source, 32), "gp", mode=Mode.PROTECTED, memory=1 << 21)
    report = both(guest, AT_FULL_SPEED)
    assert (report.outcome, report.registers.rdi) == (Outcome.HLT, 0x38)


def test_a_fault_without_a_gate_is_a_triple_fault(assemble_at: Assemble) -> None:
    source = LONG_IDT.format(vector=3) + f"ud2\nhandler: hlt\n{LONG_TABLES}"
    report = both(flat(assemble_at(source, 64), "no gate", mode=Mode.LONG, memory=1 << 21))
    assert report.outcome is Outcome.SHUTDOWN


def test_a_boot_sector_that_uses_the_bios(assemble_at: Assemble) -> None:
    source = """
        mov $message, %si
    next:
        lodsb
        test %al, %al
        jz read
        mov $0x0e, %ah
        int $0x10
        jmp next
    read:
        mov $0x0201, %ax
        mov $0x8000, %bx
        mov $2, %cx
        mov $0x80, %dx
        int $0x13
        mov 0x8000, %ax
        int $0x12
        cli
        hlt
    message: .asciz "booted"
    .org 510
    .word 0xaa55"""
    image = assemble_at(source, 16, 0x7C00) + b"second".ljust(512, b"\0")
    report = both(make_guest(image, "boot", None), dumps=((0x8000, 6),))
    assert (report.outcome, report.teletype) == (Outcome.HLT, b"booted")
    assert report.memory[0x8000] == b"second"
    assert report.registers.rax == 639


@pytest.mark.parametrize("bits", [32, 64])
def test_an_elf_executable(assemble_at: Assemble, bits: int) -> None:
    source = "mov $0xe9, %dx\nmov $'!', %al\nout %al, %dx\ncall next\nhlt\nnext: ret"
    image = assemble_at(source, bits, 0x100000, elf=True)
    report = both(make_guest(image, "elf", None))
    assert (report.outcome, report.debug_port) == (Outcome.HLT, b"!")


def test_a_multiboot_image(assemble_at: Assemble) -> None:
    source = """
        jmp begin
        .balign 4
    header: .long 0x1badb002, 0, -0x1badb002
    begin:
        cmp $0x2badb002, %eax
        jne wrong
        mov $3, %al
        out %al, $0xf4
    wrong: hlt"""
    report = both(make_guest(assemble_at(source, 32, 0x100000, elf=True), "multiboot", None))
    assert report.outcome is Outcome.EXIT_PORT


def test_code_that_rewrites_itself_on_the_way(assemble_at: Assemble) -> None:
    # The immediate of the ADD is written before it is executed, ten times with another value.
    source = """
        mov $10, %ecx
        xor %eax, %eax
    again:
        movb %cl, change+1
        jmp change
    change:
        add $0, %al
        loop again
        hlt"""
    guest = flat(assemble_at(source, 32), "rewrites", mode=Mode.PROTECTED, memory=1 << 21)
    report = both(guest)
    assert (report.outcome, report.registers.rax) == (Outcome.HLT, 55)


def test_a_reset_by_the_keyboard_controller(assemble_at: Assemble) -> None:
    guest = flat(assemble_at("mov $0xfe, %al\nout %al, $0x64\nmov $9, %al\nhlt", 16), "reset")
    report = both(replace(guest, memory=1 << 21))
    assert (report.outcome, report.registers.rax) == (Outcome.SYSTEM_EVENT, 0xFE)


def test_strings_to_ports_and_back(assemble_at: Assemble) -> None:
    source = """
        cld
        mov $0x1000, %esi
        mov $20, %ecx
        mov $0xe9, %dx
        rep outsb
        mov $0x4000, %edi
        mov $6, %ecx
        mov $0x1234, %dx
        rep insl
        hlt"""
    guest = flat(assemble_at(source, 32), "strings", mode=Mode.PROTECTED, memory=1 << 21)
    report = both(guest, dumps=((0x4000, 28),))
    assert report.ports == {0xE9: (0, 20), 0x1234: (6, 0)}
    assert struct.unpack("<7I", report.memory[0x4000]) == (*[0xFFFFFFFF] * 6, 0)


def exits_of(guest: Guest, engine: str, stepped: bool) -> list[Exit]:
    found: list[Exit] = []
    with open_machine(guest, engine) as machine:
        runner = open_runner(machine, engine, on_exit=found.append)
        while (runner.step(1000) if stepped else runner.run()) is not Slice.ENDED:
            pass
        assert tuple(found) == runner.log.latest(len(found))
    return found


@pytest.mark.parametrize("stepped", [False, True])
def test_string_reads_and_writes_are_one_exit_for_each_element(
    assemble_at: Assemble, stepped: bool
) -> None:
    source = """
        mov $0x4000, %di; mov $20, %cx; mov $0x1234, %dx; rep insw
        mov $3, %cx; mov $0x402, %dx; rep insb
        mov $0x4000, %si; mov $5, %cx; mov $0xe9, %dx; rep outsb
        hlt"""
    guest = flat(assemble_at(source, 16), "elements", mode=Mode.REAL)
    one, other = (exits_of(guest, engine, stepped) for engine in (KVM, EMULATOR))
    assert one == other
    assert [exit.index for exit in one] == list(range(29))


NOWHERE = 0x3000_0000  # identity-mapped in long mode, and no memory


@pytest.mark.parametrize(("mode", "bits"), [(Mode.PROTECTED, 32), (Mode.LONG, 64)])
def test_a_jump_to_where_no_memory_is(assemble_at: Assemble, mode: Mode, bits: int) -> None:
    source = f"mov ${NOWHERE:#x}, %eax; jmp *%{'e' if bits == 32 else 'r'}ax"
    report = both(flat(assemble_at(source, bits), "nowhere", mode=mode, memory=1 << 21))
    told = f"INTERNAL_ERROR at {NOWHERE:#x}: an instruction could not be emulated"
    assert (report.detail, report.exits) == (told, {"INTERNAL_ERROR": 1})


def test_a_jump_to_where_no_page_is_faults_there(assemble_at: Assemble) -> None:
    source = "mov $0x60000000, %eax; jmp *%rax"
    report = both(flat(assemble_at(source, 64), "no page", mode=Mode.LONG, memory=1 << 21))
    assert report.outcome is Outcome.SHUTDOWN
    assert report.detail.startswith("SHUTDOWN at 0x60000000: ")


#: Behind the end of the memory, across its end, across a page of what is none.
@pytest.mark.parametrize(("address", "exits"), [(0x20_0000, 1), (0x1F_FFFE, 1), (0x20_0FFE, 2)])
@pytest.mark.parametrize("code", ["mov %rax, (%rbx)", "mov (%rbx), %rax", "mov (%rbx), %eax"])
def test_an_access_is_one_exit_for_each_page_without_memory(
    assemble_at: Assemble, address: int, exits: int, code: str
) -> None:
    source = f"mov ${address:#x}, %ebx; mov $0x1122334455667788, %rax; {code}; hlt"
    guest = flat(assemble_at(source, 64), "pages", mode=Mode.LONG, memory=1 << 21)
    report = both(guest, dumps=[(0x1F_FFF8, 8)])
    assert report.exits == {"MMIO": exits, "HLT": 1}


def test_each_page_of_an_access_has_its_device_and_its_bytes(assemble_at: Assemble) -> None:
    class Card:
        ports = None
        mmio = range(0x20_1000, 0x20_1008)

        def read(self, address: int, size: int) -> int:
            return int.from_bytes(bytes(range(1, size + 1)), "little")

        def write(self, address: int, size: int, value: int) -> None: ...

    source = "mov $0x200ffe, %ebx; mov (%rbx), %eax; hlt"
    guest = flat(assemble_at(source, 64), "card", mode=Mode.LONG, memory=1 << 21)
    report = both(guest, devices=[DeviceClass("card.py:Card", Card)])
    assert report.registers.rax == 0x0201_FFFF


#: INT 80h five times, 0FFH once; where KVM emulates real mode it does not get past them.
HIGH_INTERRUPTS = """
    movw $handler, 0x200; movw $0, 0x202
    movw $other, 0x3fc; movw $0, 0x3fe
    mov $5, %dx
again:
    sti; int $0x80; dec %dx; jnz again
    es int $0xff; hlt
handler:
    mov %sp, %bp; mov (%bp), %bx; mov 4(%bp), %si; pushf; pop %ax; inc %cx; iret
other:
    inc %di; iret
"""


def test_interrupts_of_real_mode_above_7f_reach_their_handlers_stepped(
    assemble_at: Assemble,
) -> None:
    guest = flat(assemble_at(HIGH_INTERRUPTS, 16), "int 80h", mode=Mode.REAL)
    found = both(guest, (True,)).registers
    assert (found.rcx, found.rdi, found.rsp) == (5, 1, 0x8000)
    assert (found.rsi & 0x200, found.rax & 0x200) == (0x200, 0)  # IF, on the stack and in there


def test_such_an_interrupt_works_or_ends_a_run_at_full_speed_and_says_why(
    assemble_at: Assemble,
) -> None:
    guest = flat(assemble_at(HIGH_INTERRUPTS, 16), "int 80h", mode=Mode.REAL)
    report = run_guest(Request(guest, timeout=20))
    if report.outcome is not Outcome.HLT:  # a host that emulates real mode
        assert report.outcome is Outcome.INTERNAL_ERROR
        assert "INT with a vector above 0x7f" in report.detail
        assert "--max-steps" in report.detail


def test_without_a_stack_such_an_interrupt_ends_the_run_and_says_why() -> None:
    guest = Guest(title="no stack", image=bytes.fromhex("cd80f4"), mode=Mode.REAL, memory=0x4000)
    report = run_guest(Request(guest, timeout=20, engine=KVM, step_by_step=True, max_steps=9))
    assert report.outcome is Outcome.INTERNAL_ERROR
    assert report.detail.startswith("INTERNAL_ERROR at 0x1000: KVM on this host executes INT")
    assert report.detail.endswith("at 0x7ffe")


#: POPF sets TF; nine instructions later it clears it again. The handler counts in CX, and keeps
#: the RFLAGS that were pushed and DR6.
TRAPS_ITSELF = """
    movw $handler, 4; movw $0, 6
    pushf; pop %ax; or $1, %ah; push %ax; popf
    nop; nop; pushf; pop %bx
    pushf; pop %ax; and $0xfe, %ah; push %ax; popf
    hlt
handler:
    inc %cx
    push %bp; mov %sp, %bp; or 6(%bp), %dx; pop %bp
    push %eax; mov %dr6, %eax; mov %eax, %edi; xor %eax, %eax; mov %eax, %dr6; pop %eax
    iret
"""


def test_a_guest_that_sets_the_trap_flag_itself_takes_its_traps(assemble_at: Assemble) -> None:
    guest = flat(assemble_at(TRAPS_ITSELF, 16), "traps itself")
    reports = [
        both(guest, AT_FULL_SPEED),  # stepped on KVM there are none
        run_guest(Request(guest, timeout=20, engine=EMULATOR, step_by_step=True)),
    ]
    for report in reports:
        found = report.registers
        assert (report.outcome, found.rcx) == (Outcome.HLT, 9)
        assert (found.rbx & 0x100, found.rdx & 0x100) == (0x100, 0x100)
        assert found.rdi & 0x4000  # DR6.BS
