"""The words that the command prompt of the VCPU pane knows, and their short forms."""

from __future__ import annotations

from kdash.widgets.pane import CommandWord

WORDS = (
    CommandWord("step", "step [N]", "do N steps, and make N the step size of s"),
    CommandWord("next", "next", "step, a call with all that it leads to"),
    CommandWord("continue", "continue", "run to a breakpoint or the end (also: run)"),
    CommandWord("until", "until ADDR | exit [KIND] [PORT]", "run until RIP is ADDR, or an exit"),
    CommandWord("animate", "animate [N]", "continue at N steps a second; + and - change it"),
    CommandWord("vcpu", "vcpu N", "show and step VCPU N (also: thread)"),
    CommandWord(
        "reverse-step", "reverse-step [N]", "go back N moments of the recording (also: rs)"
    ),
    CommandWord("reverse-next", "reverse-next", "go back a moment, over a call that has returned"),
    CommandWord("reverse-continue", "reverse-continue", "go back to a breakpoint or the begin"),
    CommandWord("seek", "seek N", "show moment N of the recording"),
    CommandWord("run-from-here", "run-from-here", "go on from the moment shown; asks first"),
    CommandWord("save", "save[!] FILE", "write the recording to a file; ! replaces one"),
    CommandWord("save-snapshot", "save-snapshot[!] FILE", "the same of the moment shown alone"),
    CommandWord("pause", "pause", "stop a running guest"),
    CommandWord("break", "break [ADDR] [if COND]", "stop at ADDR, or here, where COND holds"),
    CommandWord("tbreak", "tbreak [ADDR] [if COND]", "the same, once"),
    CommandWord("watch", "watch ADDR[:LEN] [if COND]", "stop when memory changes"),
    CommandWord("awatch", "awatch ADDR[:LEN] [if COND]", "stop when memory is used (slower)"),
    CommandWord("catch", "catch [KIND] [PORT] [if COND]", "stop at exits: catch IO 0x3f8"),
    CommandWord("delete", "delete [N | ADDR]", "delete stop point N, breakpoints at ADDR, or all"),
    CommandWord("ignore", "ignore N COUNT", "pass over the next COUNT hits of stop point N"),
    CommandWord("set", "set REG=VALUE", "set a register; memory: set {char}0x1000=0x90"),
    CommandWord("x", "x/NFU ADDR", "show memory: x/64b 0x1000, x/4xg rsp, x/16c 0x1000"),
    CommandWord("xp", "xp/NFU ADDR", "show guest-physical memory, as QEMU's monitor does"),
    CommandWord("walk", "walk [ADDR]", "show how ADDR is translated, level by level (CS:IP)"),
    CommandWord("info", "info VIEW", "show a view: info stops, info msrs, info cpuid"),
    CommandWord("follow", "follow ADDR", "memory goes with a register: follow rsp; alone: stays"),
    CommandWord("restart", "restart", "load the guest anew"),
    CommandWord("reload", "reload", "read the guest's file again and load it; breakpoints stay"),
    CommandWord("open", "open [GUEST] [OPTIONS]", "load another guest, as `kdash GUEST` would"),
)
ALIASES = {
    "s": "step", "si": "step", "stepi": "step", "n": "next", "ni": "next", "nexti": "next",
    "c": "continue", "run": "continue", "r": "continue", "u": "until", "b": "break",
    "d": "delete", "tb": "tbreak", "start": "restart", "thread": "vcpu",
    "rs": "reverse-step", "rsi": "reverse-step",
    "reverse-stepi": "reverse-step", "rn": "reverse-next", "rc": "reverse-continue",
}  # fmt: skip
