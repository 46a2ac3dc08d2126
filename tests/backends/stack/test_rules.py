"""What the walk reports for small pieces of assembly: kind, function or section, offset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kdash.backends.stack.facts import FileReport

pytestmark = pytest.mark.gcc

Sites = Callable[..., list[tuple[str, str, int]]]
Check = Callable[..., FileReport]


def test_a_function_that_restores_everything_is_clean(sites: Sites) -> None:
    assert sites("FUNC f\n push %rbx\n sub $16, %rsp\n add $16, %rsp\n pop %rbx\n ret\nEND f") == []


def test_a_call_without_a_frame_is_reported_only_with_frame_pointer_rules(sites: Sites) -> None:
    text = "FUNC f\n nop\n call ext\n ret\nEND f"
    assert sites(text, frame_pointer="on") == [("call-without-frame", "f", 1)]
    assert sites(text, frame_pointer="off") == []


def test_every_call_without_a_frame_is_reported(sites: Sites) -> None:
    text = "FUNC f\n call ext\n call *%rax\n ret\nEND f"
    found = sites(text, frame_pointer="on")
    assert found == [("call-without-frame", "f", 0), ("call-without-frame", "f", 5)]


def test_the_call_to_fentry_needs_no_frame(sites: Sites) -> None:
    assert sites("FUNC f\n call __fentry__\n ret\nEND f", frame_pointer="on") == []


def test_a_noreturn_callee_needs_a_frame_too(sites: Sites) -> None:
    text = "FUNC f\n call panic\nEND f"
    assert sites(text, frame_pointer="on") == [("call-without-frame", "f", 0)]
    assert sites(text) == []


def test_a_frame_set_up_by_lea_counts(sites: Sites) -> None:
    text = "FUNC f\n push %rbp\n lea (%rsp), %rbp\n call ext\n leave\n ret\nEND f"
    assert sites(text, frame_pointer="on") == []


def test_a_return_with_a_pushed_register_is_reported(sites: Sites) -> None:
    assert sites("FUNC f\n push %rbx\n ret\nEND f") == [("return-modified", "f", 1)]


def test_a_return_through_the_thunk_is_a_return(sites: Sites) -> None:
    text = "FUNC f\n push %rbx\n jmp __x86_return_thunk\nEND f"
    assert sites(text) == [("return-modified", "f", 1)]
    assert sites("FUNC f\n jmp __x86_return_thunk\nEND f") == []


def test_a_spilled_register_must_be_restored(sites: Sites) -> None:
    lost = "FUNC f\n sub $8, %rsp\n mov %r12, (%rsp)\n add $8, %rsp\n ret\nEND f"
    assert sites(lost) == [("return-modified", "f", 12)]
    kept = lost.replace("add $8", "mov (%rsp), %r12\n add $8")
    assert sites(kept) == []


def test_paths_that_meet_with_different_stacks_are_reported_where_they_meet(sites: Sites) -> None:
    text = "FUNC f\n test %edi, %edi\n je 1f\n push %rbx\n1: nop\n pop %rbx\n ret\nEND f"
    assert ("state-mismatch", "f", 5) in sites(text)


def test_a_sibling_call_with_the_frame_in_place_is_reported(sites: Sites) -> None:
    text = "FUNC f\n push %rbx\n jmp ext\nEND f"
    assert sites(text) == [("sibling-modified", "f", 1)]
    assert sites("FUNC f\n push %rbx\n pop %rbx\n jmp ext\nEND f") == []


def test_a_conditional_sibling_call_is_checked_too(sites: Sites) -> None:
    text = "FUNC f\n push %rbx\n je ext\n pop %rbx\n ret\nEND f"
    assert sites(text) == [("sibling-modified", "f", 1)]


def test_a_jump_to_another_local_function_is_a_sibling_call(sites: Sites) -> None:
    text = "FUNC g\n ret\nEND g\nFUNC f\n push %rbx\n jmp g\nEND f"
    assert sites(text) == [("sibling-modified", "f", 1)]


def test_an_indirect_jump_with_a_changed_frame_is_a_bad_sibling_call(sites: Sites) -> None:
    text = "FUNC f\n push %rbx\n jmp *%rax\nEND f"
    assert sites(text) == [("sibling-modified", "f", 1)]
    assert sites("FUNC f\n jmp *%rax\nEND f") == []


def test_an_indexed_jump_without_a_table_is_a_dynamic_jump(sites: Sites) -> None:
    text = "FUNC f\n push %rbx\n jmp *array(,%rax,8)\n pop %rbx\n ret\nEND f"
    assert sites(text) == [("dynamic-jump", "f", 1)]


def test_one_run_of_unreached_code_is_one_finding(sites: Sites) -> None:
    text = "FUNC f\n ret\n mov %rdi, %rax\n nop\n mov %rsi, %rax\n ret\nEND f"
    assert sites(text) == [("unreachable", "f", 1)]


def test_padding_behind_a_return_is_no_unreachable_code(sites: Sites) -> None:
    assert sites("FUNC f\n ret\n int3\n nop\n nopl 8(%rax)\nEND f") == []


def test_a_trap_behind_a_noreturn_call_is_no_unreachable_code(sites: Sites) -> None:
    assert sites("FUNC f\n call panic\n ud2\nEND f") == []


def test_a_return_outside_any_function_is_reported_once(sites: Sites) -> None:
    text = "FUNC f\n ret\nEND f\n.globl g\ng: xor %eax, %eax\n ret"
    assert sites(text) == [("return-outside", ".text", 3)]


def test_a_function_symbol_without_a_size_does_not_count(sites: Sites) -> None:
    assert sites("FUNC f\n xor %eax, %eax\n ret") == [("return-outside", ".text", 2)]


def test_a_called_label_that_is_no_function_is_reported(sites: Sites) -> None:
    text = "FUNC f\n call g\n ret\nEND f\n.globl g\ng: jmp ext"
    assert sites(text) == [("not-callable", ".text", 6)]


def test_a_label_with_a_return_that_a_function_jumps_to_is_not_callable(sites: Sites) -> None:
    text = "FUNC f\n jmp g\nEND f\n.globl g\ng: xor %eax, %eax\n ret"
    assert sites(text) == [("not-callable", ".text", 2)]


def test_running_into_the_next_function_is_reported(sites: Sites) -> None:
    text = "FUNC f\n nop\n mov %rdi, %rax\n nop\nEND f\nFUNC g\n ret\nEND g"
    assert sites(text) == [("fallthrough", "f", 1)]


def test_jumping_into_the_middle_of_another_function_is_reported(sites: Sites) -> None:
    text = "FUNC f\n jmp 1f\nEND f\nFUNC g\n nop\n1: ret\nEND g"
    assert sites(text) == [("fallthrough", "f", 0)]


def test_leaving_the_kernel_from_a_function_is_reported(sites: Sites) -> None:
    assert sites("FUNC f\n sysretq\nEND f") == [("entry-insn", "f", 0)]
    assert sites("FUNC f\n lret\nEND f") == [("entry-insn", "f", 0)]


def test_entering_a_guest_is_no_kernel_entry(sites: Sites) -> None:
    assert sites("FUNC f\n vmlaunch\n ret\nEND f") == []


def test_a_jump_into_an_instruction_is_reported(sites: Sites) -> None:
    text = "FUNC f\n je 1f + 1\n1: mov $1, %eax\n ret\nEND f"
    assert sites(text) == [("no-jump-dest", "f", 0)]


def test_a_jump_past_the_end_is_reported(sites: Sites) -> None:
    assert sites("FUNC f\n jmp . + 40\nEND f") == [("no-jump-dest", "f", 0)]


def test_a_call_to_a_place_without_a_symbol_is_reported(sites: Sites) -> None:
    text = "FUNC f\n call 1f\n ret\n1: pop %rax\n ret\nEND f"
    assert sites(text) == [("no-call-dest", "f", 0)]


def test_a_noted_call_inside_a_function_is_accepted(sites: Sites) -> None:
    note = '.section .discard.intra_function_calls, ""\n.quad 2b\n.text\n'
    text = "FUNC f\n2: call 1f\n int3\n1: pop %rax\n ret\nEND f\n"
    assert sites(text + note) == []


def test_running_off_the_section_is_reported(sites: Sites) -> None:
    assert sites("FUNC f\n mov %rdi, %rax\nEND f") == [("end-of-section", "f", 0)]


def test_bytes_that_are_no_instruction_are_reported(sites: Sites) -> None:
    assert sites("FUNC f\n nop\n .byte 0x06\n ret\nEND f")[0] == ("decode", "f", 1)


def test_a_function_that_starts_inside_an_instruction_is_reported(sites: Sites) -> None:
    text = ".globl f\n.type f, @function\n.set f, . + 1\n mov $1, %eax\n ret\n.size f, 5"
    assert "no-start" in [kind for kind, _, _ in sites(text)]


def test_losing_the_stack_pointer_is_reported_once(sites: Sites) -> None:
    text = "FUNC f\n mov %rdi, %rsp\n push %rax\n push %rbx\n ret\nEND f"
    assert sites(text) == [("undefined-state", "f", 0)]


def test_subtracting_a_register_needs_a_frame_pointer(sites: Sites) -> None:
    assert sites("FUNC f\n sub %rax, %rsp\n ret\nEND f") == [("stack-modify", "f", 0)]
    framed = "FUNC f\n push %rbp\n mov %rsp, %rbp\n sub %rax, %rsp\n leave\n ret\nEND f"
    assert sites(framed) == []


def test_aligning_the_stack_needs_a_frame_pointer(sites: Sites) -> None:
    assert sites("FUNC f\n and $-32, %rsp\n ret\nEND f") == [("stack-realign", "f", 0)]
    framed = "FUNC f\n push %rbp\n mov %rsp, %rbp\n and $-32, %rsp\n leave\n ret\nEND f"
    assert sites(framed) == []


def test_a_realigned_stack_with_an_argument_pointer_is_followed(sites: Sites) -> None:
    text = """FUNC f
        lea 8(%rsp), %r10
        and $-32, %rsp
        push -8(%r10)
        push %rbp
        mov %rsp, %rbp
        push %r15
        push %r10
        sub $64, %rsp
        call ext
        add $64, %rsp
        pop %r10
        pop %r15
        pop %rbp
        lea -8(%r10), %rsp
        ret
    END f"""
    assert sites(text) == []
    assert sites(text, frame_pointer="on") == []


def test_a_stack_pointer_kept_in_a_register_is_followed(sites: Sites) -> None:
    text = "FUNC f\n mov %rsp, %rax\n sub $64, %rsp\n mov %rax, %rsp\n ret\nEND f"
    assert sites(text) == []


def test_using_the_frame_pointer_for_data_is_reported(sites: Sites) -> None:
    text = "FUNC f\n push %rbp\n mov %rdi, %rbp\n pop %rbp\n ret\nEND f"
    assert sites(text, frame_pointer="on") == [("bp-scratch", "f", 1)]
    assert sites(text) == []


def test_reading_the_frame_pointer_is_no_overwriting(sites: Sites) -> None:
    text = "FUNC f\n cmp %rax, %rbp\n test %rbp, %rbp\n mov %rbp, %rax\n ret\nEND f"
    assert sites(text, frame_pointer="on") == []


def test_the_direction_flag_must_be_clear_at_a_return(sites: Sites) -> None:
    assert sites("FUNC f\n std\n ret\nEND f") == [("direction-flag", "f", 1)]
    assert sites("FUNC f\n std\n cld\n ret\nEND f") == []


def test_the_direction_flag_is_followed_on_each_path(sites: Sites) -> None:
    text = "FUNC f\n std\n je 1f\n cld\n1: ret\nEND f"
    assert sites(text) == [("direction-flag", "f", 4)]


def test_calling_with_the_direction_flag_set_is_reported(sites: Sites) -> None:
    text = "FUNC f\n std\n call ext\n cld\n ret\nEND f"
    assert sites(text) == [("direction-flag", "f", 1)]


def test_clearing_a_clear_direction_flag_is_reported(sites: Sites) -> None:
    assert sites("FUNC f\n cld\n ret\nEND f") == [("direction-flag", "f", 0)]


def test_leave_without_a_frame_is_reported(sites: Sites) -> None:
    assert sites("FUNC f\n push %rbp\n leave\n ret\nEND f") == [("stack-modify", "f", 1)]


def test_enter_and_leave_are_a_frame(sites: Sites) -> None:
    text = "FUNC f\n enter $32, $0\n call ext\n leave\n ret\nEND f"
    assert sites(text, frame_pointer="on") == []


def test_a_function_marked_as_non_standard_is_left_alone(sites: Sites) -> None:
    text = "FUNC f\n push %rbx\n ret\nEND f\n"
    note = '.section .discard.func_stack_frame_non_standard, "aw"\n.quad f\n'
    assert sites(text + note) == []


def test_a_second_save_of_the_frame_pointer_is_reported(sites: Sites) -> None:
    text = "FUNC f\n push %rbp\n mov %rsp, %rbp\n push %rbp\n pop %rbp\n leave\n ret\nEND f"
    assert ("duplicate-save", "f", 4) in sites(text, frame_pointer="on")
    assert "duplicate-save" not in {kind for kind, _, _ in sites(text)}


def test_a_second_setup_of_the_frame_pointer_is_reported(sites: Sites) -> None:
    text = "FUNC f\n push %rbp\n mov %rsp, %rbp\n mov %rsp, %rbp\n pop %rbp\n ret\nEND f"
    assert sites(text, frame_pointer="on") == [("duplicate-setup", "f", 4)]
    assert sites(text) == []


def test_code_behind_a_callee_that_never_returns_names_it(check: Callable[..., Any]) -> None:
    text = "FUNC dead\n ud2\nEND dead\nFUNC f\n call dead\n mov %eax, %ecx\n ret\nEND f"
    (finding,) = check(text).findings
    assert (finding.kind, finding.offset, finding.callee) == ("missing-noreturn", 5, "dead")
    assert finding.message == "dead() is missing a __noreturn annotation"


def test_realigning_with_a_register_that_tables_cannot_name_is_reported(sites: Sites) -> None:
    text = "FUNC f\n lea 8(%rsp), %r11\n and $-32, %rsp\n ud2\nEND f"
    assert sites(text) == [("stack-modify", "f", 5)]
    assert sites(text.replace("r11", "r10")) == []


def test_another_stack_from_memory_is_taken_to_be_like_the_old_one(sites: Sites) -> None:
    text = "FUNC f\n push %rbx\n mov (%rdi), %rsp\n mov 8(%rdi), %rbp\n pop %rbx\n ret\nEND f"
    assert sites(text, frame_pointer="on") == []


def test_a_stack_pointer_that_is_cleared_says_that_there_is_no_stack(sites: Sites) -> None:
    text = "FUNC f\n xor %rsp, %rsp\n sub $4096, %rsp\n1: hlt\n jmp 1b\nEND f"
    assert sites(text) == []


def test_a_return_inside_of_another_instruction_is_a_return(sites: Sites) -> None:
    text = """FUNC f
       call srso_safe_ret
       jmp retbleed_return_thunk
    END f
    .byte 0xf6
    .globl retbleed_return_thunk, srso_safe_ret
    retbleed_return_thunk: ret
       int3
    srso_safe_ret: ret
    """
    kinds = {kind for kind, _, _ in sites(text, frame_pointer="on")}
    assert not kinds & {"no-jump-dest", "call-without-frame", "sibling-modified"}


@pytest.mark.parametrize("first", ["std", "nop"])
def test_a_direction_that_only_one_of_two_ways_sets_is_followed_on_both(
    sites: Sites, first: str
) -> None:
    other = {"std": "nop", "nop": "std"}[first]
    text = f"FUNC f\n test %eax, %eax\n je 1f\n {first}\n jmp 2f\n1: {other}\n2: cld\n ret\nEND f"
    assert sites(text) == [("direction-flag", "f", 8)]


@pytest.mark.parametrize(
    ("entry", "message"), [("1b+1, 2b", "orig"), ("1b, 2b+1", "new"), ("1b, 2b", "")]
)
def test_an_exception_inside_of_an_instruction_is_reported(
    check: Check, entry: str, message: str
) -> None:
    source, fixup = entry.split(", ")
    table = f'.section __ex_table, "a"\n .long {source} - .\n .long {fixup} - .\n .long 0'
    text = f"FUNC f\n1: mov (%rdi), %eax\n ret\n2: mov $1, %eax\n ret\nEND f\n{table}"
    found = [one.message for one in check(text).findings if one.section == "__ex_table"]
    assert found == ([f"special: can't find {message} instruction"] if message else [])


def test_a_start_inside_of_an_instruction_is_told_of_its_function(sites: Sites) -> None:
    text = ".type f, @function\n mov $1, %eax\n ret\n.set f, .text + 1\n.size f, 5"
    assert ("no-start", "f", 0) in sites(text)


@pytest.mark.parametrize(
    "change",
    ["inc %rsp", "dec %rsp", "neg %rsp", "shl $1, %rsp", "adc $8, %rsp", "imul $2, %rsi, %rsp"],
)
def test_arithmetic_that_nobody_does_on_the_stack_pointer_is_reported(
    sites: Sites, change: str
) -> None:
    assert sites(f"FUNC f\n nop\n {change}\n ret\nEND f") == [("stack-modify", "f", 1)]


def test_the_stack_pointer_written_in_any_other_way_is_reported(sites: Sites) -> None:
    changes = (
        *("cmovne %rax, %rsp", "bsf %rax, %rsp", "imul %rax, %rsp", "popcnt (%rdi), %rsp"),
        *("bswap %rsp", "xadd %rax, %rsp", "xchg %rax, %rsp", "rdrand %rsp"),
        *("movabs $0x1122334455667788, %rsp", "mov $5, %esp", "mov %eax, %esp", "mov %esp, %esp"),
        *("add $8, %esp", "and $-16, %esp", "lea 8(%rax), %esp", "movzbl (%rax), %esp"),
        *("mov %ax, %sp", "mov %gs:(%rax), %esp", "mov %al, %spl", "setne %spl"),
    )
    text = "\n".join(
        f"FUNC f{at}\n nop\n {change}\n ret\nEND f{at}" for at, change in enumerate(changes)
    )
    assert sites(text) == [("stack-modify", f"f{at}", 1) for at in range(len(changes))]


def test_a_part_of_the_stack_pointer_popped_makes_the_state_undefined(sites: Sites) -> None:
    assert sites("FUNC f\n push %rax\n pop %sp\n ret\nEND f") == [("undefined-state", "f", 1)]


def test_registers_that_are_encoded_like_the_stack_pointer_are_other_ones(sites: Sites) -> None:
    text = """FUNC f
        mov %esp, %eax
        mov %ah, %al
        mov %al, %ah
        setne %ah
        mov %eax, %r12d
        cmovne %rax, %r12
        bswap %r12
        mul %rsp
        cmp %eax, %esp
        movzbl (%rsp), %eax
        mov $5, %r12d
        mov (%eax), %ecx
        ret
    END f"""
    assert sites(text) == []


def test_a_frame_pointer_popped_from_another_place_is_a_scratch_register(sites: Sites) -> None:
    text = "FUNC f\n push %rax\n pop %rbp\n ret\nEND f"
    assert sites(text, frame_pointer="on") == [("bp-scratch", "f", 1)]
    assert sites(text) == []


@pytest.mark.parametrize("instruction", ["iretq", "iretl"])
def test_an_iret_of_either_size_takes_its_words_from_the_stack(
    sites: Sites, instruction: str
) -> None:
    assert ("return-modified", "f") in [
        one[:2] for one in sites(f"FUNC f\n {instruction}\n ret\nEND f")
    ]
