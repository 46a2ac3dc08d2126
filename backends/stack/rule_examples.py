"""A short bad and a short good example of each rule, as assembly of a 64-bit kernel.

Every one is complete: with the kernel's macros it assembles, and the validator finds the rule
broken in the bad one alone (tests/backends/stack/test_rule_examples.py).
"""

from __future__ import annotations


def _function(name: str, *lines: str) -> str:
    """The lines as the body of a function, labels and all."""
    body = "\n".join(line if line[:1].isdigit() else f"    {line}" for line in lines)
    return f"SYM_FUNC_START({name})\n{body}\nSYM_FUNC_END({name})"


_PROLOGUE = ("push %rbp", "mov %rsp, %rbp")

BAD_AND_GOOD: dict[str, tuple[str, str]] = {
    "call-without-frame": (
        _function("flush_queue", "call drain_one         # rbp is still the caller's", "RET"),
        _function("flush_queue", "FRAME_BEGIN", "call drain_one", "FRAME_END", "RET"),
    ),
    "return-modified": (
        _function("read_port", "push %rbx", "test %edi, %edi", "jz 1f", "pop %rbx", "RET",
                  "1:  RET                    # rbx is still on the stack"),
        _function("read_port", "push %rbx", "test %edi, %edi", "jz 1f", "nop",
                  "1:  pop %rbx", "RET"),
    ),
    "duplicate-save": (
        _function("open_ring", *_PROLOGUE, "push %rbp              # once more", "call map_ring",
                  "leave", "RET"),
        _function("open_ring", *_PROLOGUE, "call map_ring", "leave", "RET"),
    ),
    "duplicate-setup": (
        _function("open_ring", *_PROLOGUE, "push %rbx", "mov %rsp, %rbp         # once more",
                  "call map_ring", "leave", "RET"),
        _function("open_ring", *_PROLOGUE, "push %rbx", "call map_ring", "pop %rbx", "leave",
                  "RET"),
    ),
    "state-mismatch": (
        _function("sum_words", "test %edi, %edi", "jz 1f", "push %rbx",
                  "1:  mov %rsi, %rax         # rbx pushed, or not?", "RET"),
        _function("sum_words", "push %rbx", "test %edi, %edi", "jz 1f", "nop",
                  "1:  mov %rsi, %rax", "pop %rbx", "RET"),
    ),
    "sibling-modified": (
        _function("put_page_slow", "push %rbx", "mov %rdi, %rbx",
                  "jmp free_page          # it returns to the pushed rbx"),
        _function("put_page_slow", "push %rbx", "mov %rdi, %rbx", "pop %rbx", "jmp free_page"),
    ),
    "unreachable": (
        _function("stop_engine", "xor %eax, %eax", "RET", "mov $1, %eax           # never run",
                  "RET"),
        _function("stop_engine", "xor %eax, %eax", "RET"),
    ),
    "return-outside": (
        "load_key:                  # a label, no function\n    mov (%rdi), %rax\n    RET",
        _function("load_key", "mov (%rdi), %rax", "RET"),
    ),
    "not-callable": (
        _function("take_lock", "call spin_again", "RET")
        + "\n.globl spin_again          # called, but no function\n"
        "spin_again:\n    mov (%rdi), %eax\n    jmp take_lock",
        _function("take_lock", "call spin_again", "RET") + "\n"
        + _function("spin_again", "mov (%rdi), %eax", "jmp take_lock"),
    ),
    "fallthrough": (
        _function("first", "mov %rdi, %rax         # and no return") + "\n"
        + _function("second", "RET"),
        _function("first", "mov %rdi, %rax", "RET") + "\n" + _function("second", "RET"),
    ),
    "entry-insn": (
        _function("leave_kernel", "swapgs", "sysretq"),
        "SYM_CODE_START(leave_kernel)\n    UNWIND_HINT_END_OF_STACK\n    swapgs\n    sysretq\n"
        "SYM_CODE_END(leave_kernel)",
    ),
    "dynamic-jump": (
        _function("dispatch", "push %rbx",
                  "jmp *handlers(,%rax,8) # an array that can be written"),
        _function("dispatch", "push %rbx", "call *handlers(,%rax,8)", "pop %rbx", "RET"),
    ),
    "no-jump-dest": (
        _function("select_mode", "jmp 1f + 2             # into the middle of the mov",
                  "1:  mov $0x1000, %eax", "RET"),
        _function("select_mode", "jmp 1f", "1:  mov $0x1000, %eax", "RET"),
    ),
    "no-call-dest": (
        _function("where_am_i", "call 1f                # pushes what is no return address",
                  "1:  pop %rax", "RET"),
        _function("where_am_i", "lea 1f(%rip), %rax", "1:  RET"),
    ),
    "no-start": (
        "code:\n    mov $1, %eax\n    RET\n.globl begin\n.type begin, @function\n"
        ".set begin, code + 1       # inside of the mov\n.size begin, 5",
        _function("begin", "mov $1, %eax", "RET"),
    ),
    "decode": (
        _function("first_bit", "jmp 1f", ".byte 0x06, 0x0e       # a table among the code",
                  "1:  RET"),
        _function("first_bit", "RET")
        + "\n.section .rodata\ntable:\n    .byte 0x06, 0x0e",
    ),
    "end-of-section": (
        _function("give_up", "mov %rdi, %rsi", "call report            # and nothing behind it"),
        _function("give_up", "mov %rdi, %rsi", "call report", "RET"),
    ),
    "alternatives": (
        _function("sum_block", 'ALTERNATIVE "call slow", "push %r12; mov %rdi, %r12; call fast", 9',
                  "RET                    # with or without r12?"),
        _function("sum_block", 'ALTERNATIVE "call slow", "call fast", 9', "RET"),
    ),
    "undefined-state": (
        _function("switch_back", "mov %rdi, %rsp         # where is the frame?", "RET"),
        "SYM_CODE_START(switch_back)\n    mov %rdi, %rsp\n    UNWIND_HINT_FUNC"
        "       # what the stack is from here on\n    RET\nSYM_CODE_END(switch_back)",
    ),
    "bp-scratch": (
        _function("mix_keys", "push %rbp", "mov %rdi, %rbp         # no frame pointer any more",
                  "pop %rbp", "RET"),
        _function("mix_keys", "push %rbx", "mov %rdi, %rbx", "pop %rbx", "RET"),
    ),
    "stack-realign": (
        _function("save_vectors", "and $-32, %rsp", "RET"),
        _function("save_vectors", *_PROLOGUE, "and $-32, %rsp", "leave", "RET"),
    ),
    "stack-modify": (
        _function("take_room", "sub %rax, %rsp         # how much?", "add %rax, %rsp", "RET"),
        _function("take_room", *_PROLOGUE, "sub %rax, %rsp", "leave", "RET"),
    ),
    "uaccess": (
        _function("put_block", "stac", "call memcpy", "clac", "RET"),
        _function("put_block", "stac", "mov %rax, (%rdi)", "clac", "RET"),
    ),
    "direction-flag": (
        _function("copy_back", "std", "rep movsb", "RET"),
        _function("copy_back", "std", "rep movsb", "cld", "RET"),
    ),
    "retpoline": (
        _function("run_hook", "call *%rax", "RET"),
        _function("run_hook", "CALL_NOSPEC rax", "RET"),
    ),
    "rethunk": (
        _function("get_id", "mov %edi, %eax", "ret"),
        _function("get_id", "mov %edi, %eax", "RET"),
    ),
    "sls": (
        _function("get_id", "mov %edi, %eax", "ret"),
        _function("get_id", "mov %edi, %eax", "ret", "int3"),
    ),
    "ibt": (
        _function("handler", "RET")
        + "\n.section .rodata\n    .quad handler          # its address is stored in a table",
        _function("handler", "endbr64                # SYM_FUNC_START places it", "RET")
        + "\n.section .rodata\n    .quad handler",
    ),
    "missing-noreturn": (
        _function("die_hard", "call panic") + "\n"
        + _function("stop", "call die_hard          # nothing says that it never returns",
                    "xor %eax, %eax", "RET"),
        "void __noreturn die_hard(void);  /* and in the list of noreturn functions */",
    ),
}  # fmt: skip
