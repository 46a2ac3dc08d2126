"""The words that the command prompt of the VCPU pane knows, and their short forms."""

from __future__ import annotations

from kdash.widgets.pane import CommandWord

WORDS = (
    CommandWord("step", "step [N]", "do N steps, and make N the step size of s"),
    CommandWord("next", "next", "step, a call with all that it leads to"),
    CommandWord("continue", "continue", "run to a breakpoint or the end (also: run)"),
    CommandWord("until", "until ADDR", "run until RIP is ADDR"),
    CommandWord("animate", "animate [N]", "continue at N steps a second; + and - change it"),
    CommandWord("vcpu", "vcpu N", "show and step VCPU N (also: thread)"),
    CommandWord("pause", "pause", "stop a running guest"),
    CommandWord("break", "break ADDR", "stop when RIP is ADDR"),
    CommandWord("delete", "delete [ADDR]", "delete the breakpoint at ADDR, or all"),
    CommandWord("set", "set REG=VALUE", "set a register; memory: set {char}0x1000=0x90"),
    CommandWord("x", "x/NFU ADDR", "show memory: x/64b 0x1000, x/4xg rsp, x/16c 0x1000"),
    CommandWord("xp", "xp/NFU ADDR", "show guest-physical memory, as QEMU's monitor does"),
    CommandWord("walk", "walk [ADDR]", "show how ADDR is translated, level by level (CS:IP)"),
    CommandWord("info", "info VIEW", "show a view: info msrs, info fpu, info cpuid"),
    CommandWord("follow", "follow ADDR", "memory goes with a register: follow rsp; alone: stays"),
    CommandWord("restart", "restart", "load the guest anew"),
    CommandWord("reload", "reload", "read the guest's file again and load it; breakpoints stay"),
    CommandWord("open", "open [GUEST] [OPTIONS]", "load another guest, as `kdash GUEST` would"),
)
ALIASES = {
    "s": "step", "si": "step", "stepi": "step", "n": "next", "ni": "next", "nexti": "next",
    "c": "continue", "run": "continue", "r": "continue", "u": "until", "b": "break",
    "d": "delete", "start": "restart", "thread": "vcpu",
}  # fmt: skip
