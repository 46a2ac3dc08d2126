"""Ways through the code that no branch shows: special sections, tables, cold parts, ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.gcc

Sites = Callable[..., list[tuple[str, str, int]]]

_PUSHING = """FUNC f
1: nop
   nop
   nop
2: {behind}
   ret
END f
.section .altinstr_replacement, "ax"
3: push %rbx
4:
.section .altinstructions, "a"
"""
_ENTRIES = {
    12: ".long 1b - ., 3b - .\n.word 0x75\n.byte 2b - 1b, 4b - 3b\n",
    13: ".long 1b - ., 3b - .\n.word 0x75\n.byte 2b - 1b, 4b - 3b, 0\n",
    14: ".long 1b - ., 3b - .\n.long 0x75\n.byte 2b - 1b, 4b - 3b\n",
}


@pytest.mark.parametrize("size", sorted(_ENTRIES))
def test_alternatives_of_every_entry_size_are_followed(size: int, sites: Sites) -> None:
    text = _PUSHING.format(behind="nop") + _ENTRIES[size]
    assert sites(text) == [("state-mismatch", "f", 3)]


def test_an_entry_that_points_into_an_instruction_is_reported(sites: Sites) -> None:
    text = _PUSHING.format(behind="nop").replace("1: nop", "1: nopl 8(%rax)")
    entry = _ENTRIES[12].replace("1b - ., 3b", "1b + 1 - ., 3b")
    assert sites(text + entry) == [("alternatives", ".altinstructions", 0)]


def test_a_jump_in_a_replacement_to_its_end_goes_behind_the_original(sites: Sites) -> None:
    text = """FUNC f
    1: nop
       nop
    2: ret
    END f
    .section .altinstr_replacement, "ax"
    3: jmp 4f
    4: push %rbx
    .section .altinstructions, "a"
    .long 1b - ., 3b - .
    .word 0x75
    .byte 2b - 1b, 2
    """
    assert sites(text) == []


def test_an_empty_replacement_skips_the_original(sites: Sites) -> None:
    text = """FUNC f
    1: jmp 3f
    2: mov $1, %eax
    3: ret
    END f
    .section .altinstructions, "a"
    .long 1b - ., 1b - .
    .word 0x75
    .byte 2b - 1b, 0
    """
    assert sites(text) == []


def test_a_jump_label_that_is_a_nop_may_jump(sites: Sites) -> None:
    text = """FUNC f
    1: nopl 8(%rax, %rax)
       ret
    2: push %rbx
       ret
    END f
    .section __jump_table, "aw"
    .long 1b - ., 2b - .
    .quad key - .
    """
    assert sites(text) == [("return-modified", "f", 7)]


def test_a_jump_label_that_is_a_jump_may_fall_through(sites: Sites) -> None:
    text = """FUNC f
    1: jmp 2f
       push %rbx
       ret
    2: ret
    END f
    .section __jump_table, "aw"
    .long 1b - ., 2b - .
    .quad key - .
    """
    assert sites(text) == [("return-modified", "f", 3)]


def test_a_jump_label_on_another_instruction_is_reported(sites: Sites) -> None:
    text = """FUNC f
    1: mov %rdi, %rax
    2: ret
    END f
    .section __jump_table, "aw"
    .long 1b - ., 2b - .
    .quad key - .
    """
    assert sites(text) == [("alternatives", "__jump_table", 0)]


def test_an_exception_fixup_is_reached_with_the_state_of_the_fault(sites: Sites) -> None:
    text = """FUNC f
       push %rbx
    1: mov (%rdi), %rax
       pop %rbx
       ret
    2: ret
    END f
    .section __ex_table, "a"
    .long 1b - ., 2b - ., 0
    """
    assert sites(text) == [("return-modified", "f", 6)]


def _trap(flags: int) -> str:
    return f"""FUNC f
       push %rbx
    1: ud2
       pop %rbx
       ret
    END f
    .section __bug_table, "aw"
    .long 1b - ., 0
    .word 7, {flags}
    """


def test_tables_of_several_files_may_have_padding_between_them(sites: Sites) -> None:
    """As `ld -r` makes of modules, whose tables are aligned to 8 bytes."""
    trap = "FUNC {0}\n{1}: ud2\n ret\nEND {0}\n"
    entry = '.section __bug_table, "aw"\n .balign 8\n .long {1}b - ., name - .\n .word 7, 1\n'
    names = '.section .rodata\nname: .asciz "f.c"\n'
    text = names + ".text\n" + trap.format("f", 1) + trap.format("g", 2)
    assert sites(text + entry.format(0, 1) + entry.format(0, 2)) == []


def test_execution_goes_on_behind_the_trap_of_a_warning(sites: Sites) -> None:
    assert sites(_trap(flags=1)) == []


def test_execution_ends_at_the_trap_of_a_bug(sites: Sites) -> None:
    assert sites(_trap(flags=0)) == [("unreachable", "f", 3)]


def test_a_trap_noted_as_reachable_goes_on(sites: Sites) -> None:
    text = "FUNC f\n ud2\n1: ret\nEND f\n"
    note = '.section .discard.reachable, ""\n.long 1b - .\n'
    assert sites(text) == [("unreachable", "f", 2)]
    assert sites(text + note) == []


def test_a_switch_table_of_addresses_is_followed(sites: Sites) -> None:
    text = """FUNC f
       push %rbx
       jmp *9f(, %rax, 8)
    1: pop %rbx
       ret
    2: ret
    END f
    .section .rodata
    9: .quad 1b, 2b
    """
    assert [kind for kind, _, _ in sites(text)] == ["return-modified"]


def test_a_switch_table_of_distances_is_followed(sites: Sites) -> None:
    text = """FUNC f
       lea 9f(%rip), %rdx
       movslq (%rdx, %rax, 4), %rax
       add %rdx, %rax
       jmp *%rax
    1: push %rbx
       ret
    2: ret
    END f
    .section .rodata
    .p2align 2
    9: .long 1b - 9b, 2b - 9b
    """
    assert [kind for kind, _, _ in sites(text)] == ["return-modified"]


def test_a_switch_table_used_through_a_thunk_is_followed(sites: Sites) -> None:
    text = """FUNC f
       mov 9f(, %rax, 8), %rax
       jmp __x86_indirect_thunk_rax
    1: push %rbx
       ret
    END f
    .section .rodata
    9: .quad 1b
    """
    assert [kind for kind, _, _ in sites(text)] == ["return-modified"]


def test_a_table_ends_where_the_next_one_begins(sites: Sites) -> None:
    text = """FUNC f
       test %edi, %edi
       je 5f
       push %rbx
       jmp *8f(, %rax, 8)
    1: pop %rbx
       ret
    5: jmp *9f(, %rax, 8)
    2: ret
    END f
    .section .rodata
    8: .quad 1b
    9: .quad 2b
    """
    assert sites(text) == []


_COLD = """FUNC f
   push %rbx
   {into}
1: pop %rbx
   ret
END f
.section .text.unlikely, "ax"
FUNC f.cold
2: call ext
   jmp 1b
END f.cold
"""


def test_a_cold_part_belongs_to_the_function_that_jumps_into_it(sites: Sites) -> None:
    assert sites(_COLD.format(into="je 2f")) == []


def test_a_cold_part_may_be_entered_by_a_jump_label(sites: Sites) -> None:
    table = '.section __jump_table, "aw"\n.long 7b - ., 2b - .\n.quad key - .\n'
    assert sites(_COLD.format(into="7: nopl 8(%rax, %rax)") + table) == []


def test_a_local_function_without_a_return_ends_the_path(sites: Sites) -> None:
    text = "FUNC g\n1: jmp 1b\nEND g\nFUNC f\n call g\nEND f"
    assert sites(text) == []


def test_a_function_whose_cold_part_returns_does_return(sites: Sites) -> None:
    text = """FUNC g
       jmp 2f
    END g
    FUNC f
       call g
       push %rbx
       ret
    END f
    .section .text.unlikely, "ax"
    FUNC g.cold
    2: ret
    END g.cold
    """
    assert sites(text) == [("return-modified", "f", 6)]


def test_functions_that_jump_to_each_other_are_taken_to_return(sites: Sites) -> None:
    text = "FUNC a\n jmp b\nEND a\nFUNC b\n jmp a\nEND b\nFUNC f\n call a\n ret\nEND f"
    assert sites(text) == []


def test_a_weak_function_is_never_taken_as_noreturn(sites: Sites) -> None:
    text = ".weak g\n.type g, @function\ng: 1: jmp 1b\nEND g\n"
    assert sites(text + "FUNC f\n call g\n push %rbx\n ret\nEND f") == [("return-modified", "f", 6)]


def test_a_name_given_as_noreturn_ends_the_path(sites: Sites) -> None:
    text = "FUNC f\n call stop_it\nEND f"
    assert sites(text) == [("end-of-section", "f", 0)]
    assert sites(text, noreturn=("stop_it",)) == []


def test_a_static_call_trampoline_is_clean(sites: Sites) -> None:
    text = """.section .static_call.text, "ax"
    FUNC __SCT__x
       jmp ext
       .byte 0x0f, 0xb9, 0xcc
    END __SCT__x
    """
    assert sites(text) == []


def test_code_in_two_sections_is_told_apart(sites: Sites) -> None:
    text = 'FUNC f\n ret\nEND f\n.section .init.text, "ax"\nFUNC g\n push %rbx\n ret\nEND g'
    assert sites(text) == [("return-modified", "g", 1)]


def test_behind_an_inner_function_the_outer_one_goes_on(sites: Sites) -> None:
    text = """FUNC outer
       ret
    FUNC inner
       ret
    END inner
       mov %rdi, %rax
       ret
    END outer
    """
    assert sites(text) == [("unreachable", "outer", 2)]


def test_the_list_of_noreturn_names_is_that_of_the_modules_kernel(sites: Sites) -> None:
    text = "FUNC f\n call mpt_halt_firmware\nEND f\n.section .modinfo\n"
    assert sites(text + '.asciz "vermagic=6.12.1 SMP"') == []
    assert sites(text + '.asciz "vermagic=6.1.0-56-amd64 SMP"') == [("end-of-section", "f", 0)]
