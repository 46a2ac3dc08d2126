"""The words that the command prompt of the VCPU pane knows, and what `:help` says of them."""

from __future__ import annotations

from typing import Final

from kdash.widgets.command_words import CommandWord

_ADDRESS: Final = (
    "ADDR is made of numbers (4096, 0x1000, 1000h), registers and symbols with + and -:\n"
    "  rsp+8   main   main+0x10   $rip"
)
_EXPRESSION: Final = (
    "Expressions are those of C on unsigned numbers of 64 bits: || && | ^ & == != < <= > >=\n"
    "<< >> + - * / % ! ~ and parentheses. Values are numbers, registers and their parts (rax,\n"
    "eax, al), symbols (their address) and memory: byte [0x2000], dword [rsp], word [ss:bp+4]."
)
_PAST: Final = (
    "The past is what was recorded of the guest; the time line shows where in it you are."
)

WORDS: Final = (
    CommandWord(
        "step", "step [N]", "do N steps, and make N the step size of s", ("s", "si", "stepi"),
        "step 20   does 20 steps; from now on s does 20 at once\n"
        "step 1    puts it back",
    ),
    CommandWord("next", "next", "step, a call with all that it leads to", ("n", "ni", "nexti")),
    CommandWord(
        "continue", "continue", "run to a breakpoint or the end", ("c", "run", "r"),
        "Every step is recorded, so that C and the time line lead back. space runs at full\n"
        "speed instead.",
    ),
    CommandWord(
        "until", "until ADDR | exit [KIND] [PORT]", "run until RIP is ADDR, or an exit", ("u",),
        "until main            run until RIP is there\n"
        "until exit            run to the next exit\n"
        "until exit IO 0x3f8   to the next exit of a kind, at a port (of MMIO: an address)\n\n"
        "All that is run is recorded; `catch IO 0x3f8` and space get there at full speed.\n\n"
        + _ADDRESS,
    ),
    CommandWord("animate", "animate [N]", "continue at N steps a second; + and - change it"),
    CommandWord("vcpu", "vcpu N", "show and step VCPU N", ("thread",)),
    CommandWord(
        "reverse-step", "reverse-step [N]", "go back N moments of the recording",
        ("rs", "rsi", "reverse-stepi"), _PAST,
    ),
    CommandWord("reverse-next", "reverse-next", "go back a moment, over a call that has returned",
                ("rn",), _PAST),
    CommandWord("reverse-continue", "reverse-continue", "go back to a breakpoint or the beginning",
                ("rc",), _PAST),
    CommandWord("seek", "seek N", "show moment N of the recording", (), _PAST),
    CommandWord(
        "run-from-here", "run-from-here", "go on from the moment shown; asks first", (),
        "What was recorded after the moment shown is forgotten.",
    ),
    CommandWord(
        "save", "save[!] FILE", "write the recording to a file; ! replaces one", (),
        "save four.kdash    kdash four.kdash opens it, with or without KVM\n"
        "save! four.kdash   replaces a file without a question\n\n"
        "The file is there as a whole or not at all. What the guest was made of is never\n"
        "replaced.",
    ),
    CommandWord("save-snapshot", "save-snapshot[!] FILE", "the same of the moment shown alone"),
    CommandWord("pause", "pause", "stop a running guest"),
    CommandWord(
        "break", "break [ADDR] [if COND]", "stop at ADDR, or here, where COND holds", ("b",),
        "break main\n"
        "break 0x1003 if rax == 5 && dword [rsp] != 0\n\n" + _EXPRESSION,
    ),
    CommandWord("tbreak", "tbreak [ADDR] [if COND]", "the same, once", ("tb",),
                "The breakpoint is gone once it was hit.\n\n" + _EXPRESSION),
    CommandWord(
        "watch", "watch ADDR[:LEN] [if COND]", "stop when memory changes", (),
        "watch 0x2000:4   stop after an instruction that changes one of 4 bytes\n"
        "watch rsp        as many bytes as the code has by default\n\n" + _EXPRESSION,
    ),
    CommandWord("awatch", "awatch ADDR[:LEN] [if COND]", "stop when memory is used (slower)", (),
                "Reads count, too: the operands of each instruction are decoded before it.\n\n"
                + _EXPRESSION),
    CommandWord(
        "catch", "catch [KIND] [PORT] [if COND]", "stop at exits: catch IO 0x3f8", (),
        "catch              stop at every exit\n"
        "catch HLT          of a kind, as the list of exits names it\n"
        "catch IO 0x3f8     at a port\n"
        "catch MMIO 0xb8000 at an address",
    ),
    CommandWord(
        "delete", "delete [N | ADDR]", "delete stop point N, breakpoints at ADDR, or all", ("d",),
        "info stops lists them with their numbers.",
    ),
    CommandWord("ignore", "ignore N COUNT", "pass over the next COUNT hits of stop point N"),
    CommandWord(
        "set", "set REG=VALUE", "set a register; memory: set {char}0x1000=0x90", (),
        "set rax=2                 registers, segments by selector, control registers, efer\n"
        "set {char}0x1000=0x90     memory: char 1 byte, short 2, int 4, long 8\n"
        "set {int}rsp+8=rax\n\n"
        "In the past of a recording it asks first: the guest goes on from there.",
    ),
    CommandWord(
        "print", "print[/F] EXPR", "the value of an expression: print rsp+8", ("p",),
        "print rsp+8\n"
        "p/t rflags          F: x hexadecimal, d decimal with sign, u without, t binary, c char\n"
        "p dword [main+4]    memory\n\n" + _EXPRESSION,
    ),
    CommandWord(
        "x", "x/NFU ADDR", "show memory: x/64b 0x1000, x/4xg rsp, x/16c 0x1000", (),
        "N: how many. F: x hexadecimal, d decimal, u unsigned, c characters.\n"
        "U: b 1 byte, h 2, w 4, g 8.\n\n" + _ADDRESS,
    ),
    CommandWord("xp", "xp/NFU ADDR", "show guest-physical memory, as QEMU's monitor does", (),
                "As x, by physical address."),
    CommandWord(
        "list", "list [ADDR]", "list the code at ADDR, or at CS:IP again",
        ("l", "disassemble", "disas"),
        "list main        b, u and a double click work on what is listed; going down lists more\n\n"
        + _ADDRESS,
    ),
    CommandWord("walk", "walk [ADDR]", "show how ADDR is translated, level by level (CS:IP)"),
    CommandWord(
        "info", "info VIEW", "show a view: info stops, info msrs, info cpuid", (),
        "all registers code exits serial screen memory stops\n"
        "control   control, debug and segment registers, pending events, MP state\n"
        "fpu       x87, MXCSR, XMM, YMM, ZMM\n"
        "msrs      model-specific registers by name\n"
        "cpuid     what CPUID answers, by name\n"
        "devices   what serial port, timer, keyboard, CMOS and the user's devices hold\n"
        "statistics  (stats) KVM's counters, pages written, exits inside the kernel\n"
        "walk      the page walk of the next instruction, or of `walk ADDR`\n\n"
        "< and > go through them, Esc shows all parts again.",
    ),
    CommandWord("follow", "follow ADDR", "memory goes with a register: follow rsp; alone: stays",
                (), _ADDRESS),
    CommandWord("restart", "restart", "load the guest anew", ("start",)),
    CommandWord("reload", "reload", "read the guest's file again and load it; breakpoints stay"),
    CommandWord(
        "open", "open [GUEST] [OPTIONS]", "load another guest, as `kdash GUEST` would", (),
        "open boot.img\n"
        "open flat.bin --mode long --load 0x2000\n"
        "open vmlinux --memory 512M --append 'console=ttyS0'\n"
        "open four.kdash       a recording\n"
        "open                  the sample guest\n\n"
        "Options are those of kdash --help. The guest that is there stays where the other can't\n"
        "be loaded.",
    ),
)  # fmt: skip

#: The views of `info` by other names: gdb's, and short ones.
VIEW_NAMES: Final = {
    "b": "stops", "break": "stops", "breakpoints": "stops", "watchpoints": "stops",
    "stats": "statistics", "kvm": "statistics", "r": "registers", "regs": "registers",
    "disassembly": "code", "source": "code", "console": "serial", "vga": "screen",
    "float": "fpu", "vector": "fpu", "sse": "fpu", "events": "control", "cr": "control",
    "tlb": "walk", "pg": "walk",
}  # fmt: skip
