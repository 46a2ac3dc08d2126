"""What an instruction will read, what a step changed, whether a branch is taken."""

import pytest

from kdash.backends.kvm.facts import MemoryOperand, Registers, Segment
from kdash.widgets.vcpu.branches import taken
from kdash.widgets.vcpu.effects import effects, operands, register_part

REGISTERS = Registers(rax=0x1122_3344_5566_7788, rdx=0x3F8, r9=0xFFFF_FFFF_0000_ABCD)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("out dx,al", "dx=3f8 al=88"),
        ("add eax,0x30", "eax=55667788"),
        ("mov ah,dl", "dl=f8"),
        ("mov dx,0x3f8", ""),
        ("mov [rdx],ah", "rdx=3f8 ah=77"),
        ("xchg r9d,r9w", "r9d=abcd r9w=abcd"),
        ("jmp 0xdead", ""),
        ("hlt", ""),
    ],
)
def test_the_registers_an_instruction_reads_are_told(text: str, told: str) -> None:
    assert operands(text, REGISTERS) == told


def test_a_word_that_is_no_register_has_no_value() -> None:
    assert register_part("ptr", REGISTERS) is None


def test_a_step_tells_registers_and_flags_it_changed_but_not_rip() -> None:
    before = Registers(rax=2, rip=0x1003, rflags=2)
    after = Registers(rax=4, rip=0x1005, rflags=0x43, cs=Segment(selector=8))
    assert effects(before, after) == "rax 2→4 cs 0→8 +zf +cf"


def test_a_flag_that_was_cleared_is_told() -> None:
    assert effects(Registers(rflags=0x43), Registers(rflags=0x42)) == "-cf"


@pytest.mark.parametrize(
    ("mnemonic", "rflags", "will"),
    [
        ("je", 0x40, True),
        ("jne", 0x40, False),
        ("jb", 1, True),
        ("ja", 0, True),
        ("jbe", 0x40, True),
        ("jl", 0x80, True),
        ("jge", 0x880, True),
        ("jg", 0x40, False),
        ("jo", 0x800, True),
        ("jns", 0, True),
        ("jp", 4, True),
        ("jmp", 0, None),
        ("add", 0, None),
    ],
)
def test_a_conditional_branch_is_foretold_from_the_flags(
    mnemonic: str, rflags: int, will: bool | None
) -> None:
    assert taken(mnemonic, Registers(rflags=rflags)) is will


def test_jcxz_looks_at_the_low_half_of_the_counter_only() -> None:
    assert taken("jcxz", Registers(rcx=0x10000)) is True
    assert taken("jecxz", Registers(rcx=0x10000)) is False


def test_memory_operands_stand_in_front_with_their_address() -> None:
    memory = (MemoryOperand(0x2000, 2, 0x12), MemoryOperand(0x9000, 4, None))
    assert operands("add ax,[bx]", Registers(rax=1, rbx=0x2000), memory) == (
        "[2000]=0012 [9000] not mapped ax=1 bx=2000"
    )
