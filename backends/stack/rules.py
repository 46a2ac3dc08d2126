"""The catalogue: every kind of finding, what it protects and how to respond.

Kinds and messages are the terms of the kernel's tools/objtool/Documentation/objtool.txt and of
the warnings in tools/objtool/check.c (6.1), so that people recognise them.
"""

from __future__ import annotations

from kdash.backends.stack.facts import Level, Rule

_FRAME = "FRAME_BEGIN and FRAME_END"


def _rule(kind: str, message: str, protects: str, respond: str) -> Rule:
    return Rule(kind, message, Level.ERROR, protects, respond)


_ALL = (
    _rule(
        "call-without-frame",
        "call without frame pointer save/setup",
        "A callee that prints or walks the stack finds its callers through rbp. When a function"
        " calls without a frame of its own, its caller is missing from every backtrace.",
        f"Assembly: put {_FRAME} around the call. Inline assembly: add ASM_CALL_CONSTRAINT to the"
        " outputs. Code that is no C-callable function: end it with SYM_CODE_END and give hints.",
    ),
    _rule(
        "return-modified",
        "return with modified stack frame",
        "The return address is taken from the wrong place, or the caller gets back registers"
        " that it owns with other values.",
        "Undo on this path what the prologue did: pop what was pushed, restore rbx, rbp, r12-r15.",
    ),
    _rule(
        "duplicate-save",
        "duplicate frame pointer save",
        "rbp is pushed twice: the chain of frames then leads through a value that is no frame.",
        "Keep one prologue. Often the function before falls through into this one.",
    ),
    _rule(
        "duplicate-setup",
        "duplicate frame pointer setup",
        "rbp is set from rsp twice: the frame of the caller can't be found any more.",
        "Keep one prologue. Often the function before falls through into this one.",
    ),
    _rule(
        "state-mismatch",
        "stack state mismatch",
        "Two ways lead to this instruction with different stacks. For one of them the unwinder's"
        " table is wrong, and so is each backtrace through here.",
        "Make pushes, pops and saved registers equal on all ways that meet here; where the code"
        " is meant so, state it with unwind hints.",
    ),
    _rule(
        "sibling-modified",
        "sibling call from callable instruction with modified stack frame",
        "A jump to another function hands over the return address; with the frame still in place"
        " the other function returns to a saved register or a local variable.",
        "Restore the frame before the jump. A jump target inside of the function: make its label"
        " local. Code that is no C-callable function: SYM_CODE_END and hints.",
    ),
    _rule(
        "unreachable",
        "unreachable instruction",
        "No way through a function leads here. Either the code is dead, or a way was cut off by"
        " mistake, and then its stack was never checked.",
        "Behind a call: is the callee really noreturn? In front of it: a function that never"
        " returns needs its annotation. In assembly: the end of a function is missing.",
    ),
    _rule(
        "return-outside",
        "return instruction outside of a callable function",
        "Code that returns is called, but without a function symbol that has a size no tool"
        " knows where it starts, so that nothing checks or unwinds it.",
        "Annotate it: SYM_FUNC_START and SYM_FUNC_END (ENTRY and ENDPROC in older kernels).",
    ),
    _rule(
        "not-callable",
        "missing an ELF size annotation",
        "A global label is called, but it is no function with a size: it can't be checked, traced"
        " or patched, and backtraces name something else.",
        "Annotate it: SYM_FUNC_START and SYM_FUNC_END; a label that is only jumped to: make it"
        " local.",
    ),
    _rule(
        "fallthrough",
        "falls through to next function",
        "Execution runs from the end of one function into the next, with whatever stack and"
        " arguments there are.",
        "A callee at the end that never returns: mark it noreturn. A wrong unreachable(): take it"
        " away. Assembly: add the missing return or jump.",
    ),
    _rule(
        "entry-insn",
        "unsupported instruction in callable function",
        "Instructions that enter or leave the kernel change the stack as a whole; after a normal"
        " call no unwinder can follow.",
        "Such code is no C-callable function: end it with SYM_CODE_END and describe its stack by"
        " unwind hints.",
    ),
    _rule(
        "dynamic-jump",
        "can't find switch jump table",
        "The targets of an indirect jump are unknown, so that the code behind it stays unchecked.",
        "Build with -fno-jump-tables, or put a hand-written table into C_JUMP_TABLE_SECTION.",
    ),
    _rule(
        "no-jump-dest",
        "can't find jump dest instruction",
        "The jump goes into the middle of an instruction or past the end of the code: either"
        " data lie among the code or the jump is wrong.",
        "Move data out of the executable section. In compiled code: report it to the compiler.",
    ),
    _rule(
        "no-call-dest",
        "unannotated intra-function call",
        "The call pushes a return address and goes to a place that is no function; the stack is"
        " then different from what the code shows.",
        "Give the target a symbol, or put ANNOTATE_INTRA_FUNCTION_CALL in front of the call.",
    ),
    _rule(
        "no-start",
        "can't find starting instruction",
        "A function symbol points between two instructions: the code is decoded differently from"
        " how it runs.",
        "Move data out of the executable section, or correct the symbol.",
    ),
    _rule(
        "decode",
        "can't decode instruction",
        "These bytes are no instruction. Data among code hide real instructions from every check.",
        "Move data to .rodata; a new instruction: use a newer decoder.",
    ),
    _rule(
        "end-of-section",
        "unexpected end of section",
        "Execution runs off the end of the section into whatever the linker puts there.",
        "A callee at the end that never returns: mark it noreturn. Assembly: add the missing"
        " return or jump.",
    ),
    _rule(
        "alternatives",
        "malformed alternative",
        "At boot the kernel overwrites instructions by what this entry says; a wrong entry makes"
        " it overwrite the wrong ones.",
        "Check the lengths and labels of the alternative; fill both sides with NOPs to the same"
        " stack layout.",
    ),
    _rule(
        "undefined-state",
        "undefined stack state",
        "After this instruction nobody knows where the stack frame is; a backtrace from here is"
        " a guess.",
        "Keep the stack pointer in a register that is restored by the book, or give unwind hints.",
    ),
    _rule(
        "bp-scratch",
        "BP used as a scratch register",
        "With frame pointers, an interrupt at this moment walks the stack through a number that"
        " is no frame.",
        "Use another register; rbp stays the frame pointer throughout.",
    ),
    _rule(
        "stack-realign",
        "unsupported stack pointer realignment",
        "The distance from rsp to the frame is lost, and nothing else keeps it.",
        "Set up a frame pointer before aligning the stack.",
    ),
    _rule(
        "stack-modify",
        "unsupported stack register modification",
        "The register that the frame is found by changes in a way that can't be followed.",
        "Use push, pop, add, sub and lea with constants; or set up a frame pointer first.",
    ),
    _rule(
        "uaccess",
        "call with UACCESS enabled",
        "Between stac and clac user memory is open to the kernel; a call from there opens it to"
        " code that doesn't expect it.",
        "Do the call before user_access_begin() or after user_access_end().",
    ),
    _rule(
        "direction-flag",
        "return with DF set",
        "With DF set, string instructions run backwards; C code relies on it being clear.",
        "Pair each std with a cld on every path, with no call or return between.",
    ),
    _rule(
        "retpoline",
        "indirect call or jump found in RETPOLINE build",
        "An indirect branch that isn't a retpoline can be steered by a mistrained predictor.",
        "Compile with the retpoline options; assembly: CALL_NOSPEC, JMP_NOSPEC, or"
        " ANNOTATE_RETPOLINE_SAFE with a reason.",
    ),
    _rule(
        "rethunk",
        "'naked' return found in RETHUNK build",
        "A plain ret can't be replaced at boot by the safe return sequence.",
        "Assembly: write RET, the kernel's macro, instead of ret.",
    ),
    _rule(
        "sls",
        "missing int3 after ret",
        "Some processors speculate straight past a return or an indirect jump.",
        "Compile with -mharden-sls=all; assembly: write RET, the kernel's macro.",
    ),
    _rule(
        "ibt",
        "relocation to !ENDBR",
        "With indirect branch tracking, an indirect branch to code without ENDBR is a fault.",
        "Assembly: SYM_FUNC_START places it; an address that is never branched to:"
        " ANNOTATE_NOENDBR.",
    ),
    _rule(
        "missing-noreturn",
        "missing a __noreturn annotation",
        "Compiler and validator disagree whether a function returns, so that the code behind a"
        " call is checked by neither.",
        "Declare the function __noreturn and add it to the list of noreturn functions.",
    ),
)

RULES: dict[str, Rule] = {rule.kind: rule for rule in _ALL}
LEVELS = ("error", "warning", "off")


def levels_of(chosen: tuple[tuple[str, str], ...]) -> dict[str, Level | None]:
    """Level of every kind, None where it is off; later choices win."""
    levels: dict[str, Level | None] = {kind: rule.level for kind, rule in RULES.items()}
    for kind, level in chosen:
        levels[kind] = None if level == "off" else Level(level)
    return levels
