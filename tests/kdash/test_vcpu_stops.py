"""`kdash vcpu run` with stops."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from kdash.backends.kvm.facts import GuestError, StopKind
from kdash.backends.kvm.stop_requests import ExitFilter, Wanted
from kdash.commands import vcpu
from kdash.commands.vcpu_stops import add_options, stops_of

SYMBOLS = {"main": 0x1234}


def asked(*arguments: str) -> tuple[Wanted, ...]:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return stops_of(parser.parse_args(arguments), SYMBOLS.get)


@pytest.mark.parametrize(
    ("option", "text", "wanted"),
    [
        ("--break", "0x1008", Wanted(StopKind.BREAKPOINT, 0x1008)),
        ("--break", "main+4", Wanted(StopKind.BREAKPOINT, 0x1238)),
        ("--break", "main if rax == 5",
         Wanted(StopKind.BREAKPOINT, 0x1234, condition="rax == 5")),
        ("--watch", "0x2000", Wanted(StopKind.WATCH, 0x2000)),
        ("--watch", "main:8 if [main] > 2",
         Wanted(StopKind.WATCH, 0x1234, 8, condition="[main] > 2")),
        ("--awatch", "0x2000:4", Wanted(StopKind.ACCESS, 0x2000, 4)),
        ("--until-exit", "any", Wanted(StopKind.EXIT)),
        ("--until-exit", "hlt", Wanted(StopKind.EXIT, exits=ExitFilter("HLT"))),
        ("--until-exit", "IO:0x3f8", Wanted(StopKind.EXIT, exits=ExitFilter("IO", 0x3F8))),
        ("--until-exit", "mmio:0xd0000000",
         Wanted(StopKind.EXIT, exits=ExitFilter("MMIO", None, 0xD0000000))),
    ],
)  # fmt: skip
def test_an_option_asks_for_a_stop(option: str, text: str, wanted: Wanted) -> None:
    assert asked(option, text) == (wanted,)


@pytest.mark.parametrize(
    ("option", "text", "told"),
    [
        ("--break", "nowhere", "'nowhere' is no register and no symbol"),
        ("--break", "main if rax = 1", "use == to compare"),
        ("--break", "main if ", "a condition must follow if"),
        ("--break", "main:4", "a breakpoint has no length"),
        ("--watch", "0x2000:x", "'x' is no number"),
        ("--watch", "0x2000:5000", "1 to 4096"),
        ("--watch", "[rax]", "is no address before the start"),
        ("--until-exit", "FROB", "no exit 'FROB'"),
        ("--until-exit", "IO:0x12345", "from 0 to 0xffff"),
    ],
)
def test_a_stop_that_makes_no_sense_is_refused(option: str, text: str, told: str) -> None:
    with pytest.raises(GuestError, match=option) as error:
        asked(option, text)
    assert told in str(error.value)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    status = vcpu.run(["run", "--format", "json", *arguments])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.kvm
def test_a_breakpoint_ends_the_run_at_full_speed(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = run(capsys, "--break", "0x1008 if al == '4'")
    assert (status, report["outcome"], report["steps"]) == (1, "interrupted", None)
    assert report["detail"] == "breakpoint 1 at 0x1008, at 0x1008"
    assert (report["vcpus"][0]["rip"], report["serial"]) == ("0x1008", "4")


@pytest.mark.kvm
def test_an_exit_ends_the_run_behind_its_instruction(capsys: pytest.CaptureFixture[str]) -> None:
    _, report = run(capsys, "--until-exit", "IO:0x3f8")
    assert report["exits"] == {"IO": 1}
    assert report["vcpus"][0]["rip"] == "0x1008"


@pytest.mark.kvm
def test_watched_memory_makes_the_run_one_of_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "store.bin"
    image.write_bytes(bytes.fromhex("b90500 ff060020 e2fa f4"))
    _, report = run(capsys, str(image), "--watch", "0x2000:2 if word [0x2000] == 3")
    assert "0x2000, 2 bytes: 0x2 -> 0x3, by the instruction at 0x1003" in report["detail"]
    assert report["steps"] == 6


@pytest.mark.kvm
def test_stops_that_are_never_met_leave_the_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = run(capsys, "--break", "0x9000", "--until-exit", "MMIO")
    assert (status, report["outcome"]) == (0, "hlt")


def test_stops_do_not_go_with_gdb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        vcpu.run(["run", "--gdb", ":0", "--break", "0x1000"])
    assert left.value.code == 2
    assert "--break does not go with --gdb" in capsys.readouterr().err
