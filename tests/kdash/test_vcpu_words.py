"""The command words of the VCPU pane: what they mean, and what a mistake is told."""

from typing import Any

import pytest

from kdash.backends.kvm.facts import Registers, Segment, StopKind
from kdash.backends.kvm.stop_requests import ExitFilter, Wanted
from kdash.panes import vcpu_words as words
from kdash.panes.vcpu_stop_words import Break, Delete, Ignore, UntilExit, Watch
from kdash.widgets.pane import CommandError
from kdash.widgets.vcpu.memory_lines import Examine

WATCH, ACCESS, EXIT = StopKind.WATCH, StopKind.ACCESS, StopKind.EXIT
REGISTERS = Registers(rax=0x1234, rsp=0x8000, rip=0x1003, ds=Segment(base=0x500))


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("step", words.Step(None)),
        ("step 20", words.Step(20)),
        ("si", words.Step(None)),
        ("next", words.Simple("next")),
        ("n", words.Simple("next")),
        ("continue", words.Simple("continue")),
        ("run", words.Simple("continue")),
        ("c", words.Simple("continue")),
        ("pause", words.Simple("pause")),
        ("restart", words.Simple("restart")),
        ("until 0x1008", words.Until(0x1008)),
        ("break 1008h", Break(0x1008)),
        ("b rip+5", Break(0x1008)),
        ("break", Break(0x1003)),
        ("b 0x1008 if rax == 5", Break(0x1008, "rax == 5")),
        ("break if rax==5", Break(0x1003, "rax==5")),
        ("tbreak 0x1008", Break(0x1008, temporary=True)),
        ("watch 0x2000:4", Watch(Wanted(WATCH, 0x2000, 4))),
        ("watch rsp-8", Watch(Wanted(WATCH, 0x7FF8, 2))),
        ("awatch 0x2000 : 1 if al != 0", Watch(Wanted(ACCESS, 0x2000, 1, "al != 0"))),
        ("catch", Watch(Wanted(EXIT))),
        (
            "catch io 0x3f8 if al == 10",
            Watch(Wanted(EXIT, condition="al == 10", exits=ExitFilter("IO", 0x3F8))),
        ),
        ("until exit", UntilExit(ExitFilter())),
        ("until exit 0xe9", UntilExit(ExitFilter(port=0xE9))),
        ("until exit mmio 0xd0000000", UntilExit(ExitFilter("MMIO", address=0xD0000000))),
        ("ignore 2 0x10", Ignore(2, 16)),
        ("info stops", words.Info("stops")),
        ("info breakpoints", words.Info("stops")),
        ("delete 0x1008", Delete(0x1008)),
        ("delete", Delete(None)),
        ("set rax=2", words.Assign("rax", 2)),
        ("set $RBX = 0x10", words.Assign("rbx", 16)),
        ("set rsp=rsp-8", words.Assign("rsp", 0x7FF8)),
        ("set rax=-1", words.Assign("rax", 2**64 - 1)),
        ("set cs=0xf000", words.Assign("cs", 0xF000)),
        ("x 0x1000", Examine(0x1000, 64, 1)),
        ("x/16b 0x1000", Examine(0x1000, 16, 1)),
        ("x/4xg rsp", Examine(0x8000, 4, 8)),
        ("x/2dw $rsp-8", Examine(0x7FF8, 2, 4, "d")),
        ("x/8c al", Examine(0x34, 8, 1, "c")),
        ("x/h ds", Examine(0x500, 32, 2)),
        ("xp/4b 0x10", Examine(0x10, 4, 1, physical=True)),
        ("walk rsp", words.Walk(0x8000)),
        ("walk", words.Walk(None)),
        ("info msrs", words.Info("msrs")),
        ("info stats", words.Info("statistics")),
        ("info breakpoints", words.Info("stops")),
        ("inf reg", words.Info("registers")),
        ("cont", words.Simple("continue")),
        ("p rsp + 8", words.Print("rsp + 8")),
        ("print dword [rsp]", words.Print("dword [rsp]")),
        ("p/t rflags", words.Print("rflags", "t")),
        ("save! x.kdash", words.Save("x.kdash", over=True)),
        ("save my guest.kdash", words.Save("my guest.kdash")),
        ("save-snapshot x.kdash", words.Save("x.kdash", True)),
    ],
)
def test_a_line_means(line: str, meaning: Any) -> None:
    assert words.parse(line, REGISTERS) == meaning


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("frob", "unknown command 'frob'; :help lists all"),
        ("stpe", "unknown command 'stpe'; near it: step; :help lists all"),
        ("re", "'re' begins several commands: reverse-step, reverse-next"),
        ("info", "info: needs a view, one of: all, code, registers"),
        ("info frob", "info: no view 'frob'; there are: all, code"),
        ("print", "print needs an expression, such as print rsp+8"),
        ("p/t", "print needs an expression"),
        ("step many", "'many' is no number of steps"),
        ("save", "save needs a file, such as save guest.kdash"),
        ("step 0", "'0' is no number of steps"),
        ("next 3", "next takes no argument, not '3'"),
        ("until", "until needs an address, such as until 0x1003"),
        ("break nowhere", "'nowhere' is no number and no register"),
        ("break 0x10 0x20", "is no address"),
        ("break 0x10 if", "if needs a condition, such as if rax == 5"),
        ("watch", "watch needs ADDR or ADDR:LEN, such as watch 0x2000:4"),
        ("watch 0x2000:", "watch needs ADDR or ADDR:LEN"),
        ("watch 0x2000:many", "watch needs ADDR or ADDR:LEN"),
        ("watch 0x2000:5000", "watch: 5000 bytes can't be watched; 1 to 4096 can"),
        ("until exit FROB", "until exit: no exit 'FROB'; among those there are: IO, MMIO"),
        ("catch IO 0x3f8 7", "catch: a kind and a port or address, such as catch IO 0x3f8"),
        ("catch MMIO 0x10 if", "if needs a condition"),
        ("catch HLT 3", "catch: port 0x3: an IO exit has a port"),
        ("ignore 1", "ignore needs a stop point's number and how often"),
        ("ignore 1 often", "ignore needs a stop point's number and how often"),
        ("set rax", "set needs a register and a value, such as set rax=2"),
        ("set xmm0=1", "no register 'xmm0'; known: rax"),
        ("set rax=0x1ffffffffffffffff", "has more than 64 bits"),
        ("until 1-0xffffffffffffffffff", "has more than 64 bits"),
        ("set rax=", "set needs a register and a value"),
        ("x/3q 0x1000", "'q' is no form (x d u c) and no unit (b h w g)"),
        ("x/16b", "x needs an address"),
        ("x/99999999b 0", "99,999,999 bytes are too many; at most 65,536"),
        ("x/0b 0", "0 bytes"),
    ],
)
def test_a_mistake_is_told_with_what_would_be_right(line: str, told: str) -> None:
    with pytest.raises(CommandError) as error:
        words.parse(line, REGISTERS)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("line", "data"),
    [
        ("set {char}0x10=0xff", b"\xff"),
        ("set {char}0x10=-1", b"\xff"),
        ("set {int}0x10=1", b"\1\0\0\0"),
        ("set {long} 0x10 = rax", b"\2" + bytes(7)),
    ],
)
def test_memory_is_set_in_gdbs_form(line: str, data: bytes) -> None:
    assert words.parse(line, Registers(rax=2)) == words.Poke(0x10, data)


@pytest.mark.parametrize("line", ["set {char}0x10=256", "set {float}1=1", "set {int}=1"])
def test_memory_that_cant_be_set_like_that_is_refused(line: str) -> None:
    with pytest.raises(CommandError):
        words.parse(line, Registers())
