"""The dashboard takes the options of a guest that `kdash vcpu run` takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdash.backends.kvm.facts import GuestError, GuestFileError, RunState
from kdash.commands.dashboard import read_settings
from kdash.panes.vcpu_opening import open_session, settings_to_open
from kdash.panes.vcpu_session import Session

ECHO = bytes.fromhex("baf803eceef4")  # mov dx,0x3f8; in al,dx; out dx,al; hlt


@pytest.fixture
def guest(tmp_path: Path) -> str:
    path = tmp_path / "guest.bin"
    path.write_bytes(ECHO)
    return str(path)


def opened(*argv: str) -> Session:
    return open_session(read_settings(list(argv)))


def test_options_reach_the_guest(guest: str, tmp_path: Path) -> None:
    names = tmp_path / "System.map"
    names.write_text("0000000000002000 T start\n")
    session = opened(
        guest, "--engine", "emulator", "--load", "0x2000", "--entry", "start", "--symbols",
        str(names), "--stack", "0x7000", "--mode", "protected", "--set", "rbx=7",
    )  # fmt: skip
    try:
        registers = session.snapshot().registers
        assert session.snapshot().engine == "emulator"
        assert (registers.rip, registers.rsp, registers.rbx) == (0x2000, 0x7000, 7)
        assert registers.cr0 & 1
        assert session.symbols.address("start") == 0x2000
    finally:
        session.close()


def test_serial_input_and_registers_are_there_again_after_a_restart(
    guest: str, tmp_path: Path
) -> None:
    (tmp_path / "input").write_bytes(b"!")
    session = opened(
        guest, "--engine", "emulator", "--stdin", str(tmp_path / "input"), "--set", "cr2=5"
    )
    try:
        for _ in range(2):
            assert session.snapshot().registers.cr2 == 5
            assert session.run().result(10).serial == b"!"
            assert session.restart().result(10).state is RunState.READY
    finally:
        session.close()


def test_the_sample_takes_options_too() -> None:
    session = opened("--engine", "emulator", "--set", "rbx=5")
    try:
        assert session.run().result(10).serial == b"7\n"
    finally:
        session.close()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--set", "rbx"], "'rbx' is not REG=VALUE"),
        (["--engine", "fast"], "'fast'"),
        (["--memory", "much"], "'much' is no size"),
        (["--timeout", "3"], "unrecognized arguments: --timeout"),
    ],
)
def test_a_bad_option_names_itself(argv: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_settings(argv)


def test_a_serial_input_that_is_not_there_is_named(guest: str) -> None:
    with pytest.raises(GuestFileError, match="--stdin /no/such: No such file"):
        opened(guest, "--engine", "emulator", "--stdin", "/no/such")


@pytest.mark.kvm
def test_a_register_that_takes_no_such_value_is_refused(guest: str) -> None:
    with pytest.raises(GuestError, match="cr0=0x80000000"):
        opened(guest, "--engine", "kvm", "--set", "cr0=0x80000000")


def test_another_guest_keeps_engine_and_devices_unless_told_otherwise(guest: str) -> None:
    before = read_settings(["--engine", "emulator"])
    assert settings_to_open(guest, before).options.engine == "emulator"  # type: ignore[union-attr]
    after = settings_to_open(f"{guest} --engine kvm", before)
    assert after.options is not None
    assert (after.options.engine, after.guest) == ("kvm", Path(guest))


def test_an_object_is_no_guest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="an object to validate"):
        settings_to_open(str(tmp_path), read_settings([]))


@pytest.mark.kvm
def test_recording_is_on_off_or_bounded_as_asked(guest: str) -> None:
    for words, told in (
        (("--recording", "off"), "nothing is recorded: --recording off"),
        (("--memory", "80M"), "--recording on records it all the same"),
        (("--record-memory", "1M"), "--record-memory 17M is the least"),
        (("--memory", "80M", "--recording", "on"), ""),
    ):
        session = opened(guest, *words)
        try:
            shown = session.step().result(10)
            assert told in shown.unrecorded
            assert (shown.recording is None) == bool(told)
        finally:
            session.close()
    session = opened(guest, "--record-memory", "64M")
    try:
        recording = session.step().result(10).recording
        assert recording is not None
        assert recording.limit == 64 << 20
    finally:
        session.close()
