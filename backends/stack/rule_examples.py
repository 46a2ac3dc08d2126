"""A short bad and a short good example of each rule, as assembly of a 64-bit kernel."""

from __future__ import annotations

BAD_AND_GOOD: dict[str, tuple[str, str]] = {
    "call-without-frame": (
        "flush_queue:\n    call drain_one\n    ret",
        "flush_queue:\n    push %rbp\n    mov %rsp, %rbp\n    call drain_one\n    pop %rbp\n"
        "    ret",
    ),
    "return-modified": (
        "read_port:\n    push %rbx\n    test %edi, %edi\n    jz 1f\n    pop %rbx\n1:  ret",
        "read_port:\n    push %rbx\n    test %edi, %edi\n    jz 1f\n    nop\n1:  pop %rbx\n    ret",
    ),
    "duplicate-save": (
        "open_ring:\n    push %rbp\n    mov %rsp, %rbp\n    push %rbp\n    ...",
        "open_ring:\n    push %rbp\n    mov %rsp, %rbp\n    ...",
    ),
    "duplicate-setup": (
        "open_ring:\n    push %rbp\n    mov %rsp, %rbp\n    mov %rsp, %rbp\n    ...",
        "open_ring:\n    push %rbp\n    mov %rsp, %rbp\n    ...",
    ),
    "state-mismatch": (
        "    test %edi, %edi\n    jz 1f\n    push %rbx\n1:  mov %rsi, %rax  # rbx pushed or not?",
        "    push %rbx\n    test %edi, %edi\n    jz 1f\n    nop\n1:  mov %rsi, %rax",
    ),
    "sibling-modified": (
        "put_page_slow:\n    push %rbx\n    mov %rdi, %rbx\n    jmp free_page",
        "put_page_slow:\n    push %rbx\n    mov %rdi, %rbx\n    pop %rbx\n    jmp free_page",
    ),
    "unreachable": (
        "stop_engine:\n    xor %eax, %eax\n    ret\n    mov $1, %eax  # never run\n    ret",
        "stop_engine:\n    xor %eax, %eax\n    ret",
    ),
    "return-outside": (
        "load_key:                 # a label, no function\n    mov (%rdi), %rax\n    ret",
        "SYM_FUNC_START(load_key)\n    mov (%rdi), %rax\n    RET\nSYM_FUNC_END(load_key)",
    ),
    "not-callable": (
        ".globl spin_again         # called, but no function\nspin_again:\n    pause\n    jmp try",
        "SYM_FUNC_START(spin_again)\n    pause\n    jmp try\nSYM_FUNC_END(spin_again)",
    ),
    "fallthrough": (
        "first:\n    mov %rdi, %rax        # no return\n.size first, . - first\nsecond:",
        "first:\n    mov %rdi, %rax\n    ret\n.size first, . - first\nsecond:",
    ),
    "entry-insn": (
        "SYM_FUNC_START(leave_kernel)\n    swapgs\n    sysretq\nSYM_FUNC_END(leave_kernel)",
        "SYM_CODE_START(leave_kernel)\n    UNWIND_HINT_END_OF_STACK\n    swapgs\n    sysretq\n"
        "SYM_CODE_END(leave_kernel)",
    ),
    "dynamic-jump": (
        "    push %rbx\n    jmp *handlers(,%rax,8)   # an array that can be written",
        "    push %rbx\n    call *handlers(,%rax,8)\n    pop %rbx\n    ret",
    ),
    "no-jump-dest": (
        "    jmp 1f + 2\n1:  mov $0x1000, %eax     # the jump goes into the mov",
        "    jmp 1f\n1:  mov $0x1000, %eax",
    ),
    "no-call-dest": (
        "    call 1f                # pushes an address that is no return address\n1:  pop %rax",
        "    lea 1f(%rip), %rax\n1:",
    ),
    "no-start": (
        ".set begin, . + 1          # inside of the next instruction\n    mov $1, %eax",
        "begin:\n    mov $1, %eax",
    ),
    "decode": (
        ".text\ntable:  .byte 0x06, 0x0e  # data among code",
        ".section .rodata\ntable:  .byte 0x06, 0x0e",
    ),
    "end-of-section": (
        "give_up:\n    mov %rdi, %rsi\n    call report           # and nothing behind it",
        "give_up:\n    mov %rdi, %rsi\n    call report\n    ret",
    ),
    "alternatives": (
        "1:  mov (%rdi), %rax\n2:\n# entry: original 1b, length 2: half an instruction",
        "1:  mov (%rdi), %rax\n2:\n# entry: original 1b, length 2b - 1b",
    ),
    "undefined-state": (
        "    mov saved_sp(%rip), %rsp\n    push %rax",
        "    UNWIND_HINT_FUNC        # says what the stack is from here on\n    push %rax",
    ),
    "bp-scratch": (
        "    push %rbp\n    mov %rdi, %rbp         # no frame pointer any more",
        "    push %rbx\n    mov %rdi, %rbx",
    ),
    "stack-realign": (
        "    and $-32, %rsp",
        "    push %rbp\n    mov %rsp, %rbp\n    and $-32, %rsp\n    ...\n    leave\n    ret",
    ),
    "stack-modify": (
        "    sub %rax, %rsp          # how much?",
        "    push %rbp\n    mov %rsp, %rbp\n    sub %rax, %rsp\n    ...\n    leave\n    ret",
    ),
    "uaccess": (
        "    stac\n    call memcpy\n    clac",
        "    stac\n    mov %rax, (%rdi)\n    clac",
    ),
    "direction-flag": (
        "    std\n    rep movsb\n    ret",
        "    std\n    rep movsb\n    cld\n    ret",
    ),
    "retpoline": ("    call *%rax", "    CALL_NOSPEC rax"),
    "rethunk": ("    ret", "    RET"),
    "sls": ("    ret", "    ret\n    int3"),
    "ibt": (
        "handler:                   # its address is stored in a table\n    push %rbx",
        "handler:\n    endbr64\n    push %rbx",
    ),
    "missing-noreturn": (
        "void die_hard(void);\n/* ... and it ends in panic() */",
        "void __noreturn die_hard(void);",
    ),
}
