"""Guests in their formats, as `kdash vcpu` takes them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from kdash.commands import vcpu
from kdash.exit_status import ExitStatus
from kdash.panes import vcpu_words as words
from kdash.panes.vcpu_opening import open_session
from kdash.panes.vcpu_stop_words import Break
from kdash.settings import Settings
from kdash.widgets.vcpu.memory_lines import Examine
from tests.kdash.test_vcpu_words import REGISTERS

# mov ax,0x0e41; int 0x10; hlt
BOOT = bytes.fromhex("b8410e cd10 f4").ljust(510, b"\0") + b"\x55\xaa"
MULTIBOOT = struct.pack("<8I", 0x1BADB002, 1 << 16, 0xE4514FFE, 0x100000, 0x100000, 0, 0,
                        0x100020) + b"\xf4"  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a file; its path."""

    def make(data: bytes, name: str = "guest") -> str:
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return make


def run(*arguments: str) -> int:
    try:
        return int(vcpu.run(["run", *arguments]))
    except SystemExit as end:
        return int(end.code or 0)


def found(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.kvm
def test_what_a_boot_sector_prints_goes_to_stdout(
    write: Any, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(write(BOOT)) == ExitStatus.OK
    assert capfdbinary.readouterr().out == b"A"


@pytest.mark.kvm
def test_json_has_the_teletype_of_a_guest_with_a_bios_only(
    write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run(write(BOOT), "--format", "json")
    assert found(capsys)["teletype"] == "A"
    run("--format", "json")
    assert "teletype" not in found(capsys)


@pytest.mark.kvm
def test_a_type_overrides_the_content(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(write(b"\xf4" + BOOT[1:]), "--type", "flat", "--format", "json")
    assert found(capsys)["detail"] == "HLT at 0x1000"


@pytest.mark.kvm
def test_a_multiboot_image_runs(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write(MULTIBOOT), "--format", "json") == ExitStatus.OK
    assert found(capsys)["vcpus"][0]["rax"] == "0x2badb002"


@pytest.mark.kvm
def test_an_entry_can_be_a_symbol_of_another_file(
    write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    names = write(b"0000000000001002 T stop\n", "System.map")
    guest = write(b"\xeb\xfe\xf4")
    assert run(guest, "--symbols", names, "--entry", "stop", "--format", "json") == ExitStatus.OK
    assert found(capsys)["detail"] == "HLT at 0x1002"


@pytest.mark.parametrize(
    ("data", "arguments", "says"),
    [
        (b"\x7fELF", (), "no ELF file of class 32 or 64"),
        (b"\xf4", ("--entry", "main"), "no symbol main; it has none, --symbols FILE adds them"),
        (b"\xf4", ("--type", "boot"), "bytes 510 and 511 of one are 55 aa"),
        (b"\xf4", ("--type", "multiboot"), "no multiboot header"),
        (BOOT, ("--memory", "64K"), "--memory 1M"),
        (bytes(0x8000), (), "--stack moves the stack"),
        (b"\xf4", ("--symbols", __file__), "line 1 is no symbol"),
        (b"\xf4", ("--stack", "0x1001"), "overlaps the stack"),
    ],
)
def test_a_guest_that_does_not_fit_is_refused_in_one_line(
    write: Any, data: bytes, arguments: tuple[str, ...], says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(write(data), *arguments) == ExitStatus.USAGE
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


def test_a_missing_symbol_file_is_the_environment(write: Any) -> None:
    assert run(write(b"\xf4"), "--symbols", "/nonexistent/map") == ExitStatus.ENVIRONMENT


@pytest.mark.kvm
def test_the_dashboard_opens_guests_by_their_content(write: Any) -> None:
    session = open_session(Settings(guest=Path(write(BOOT))))
    try:
        assert session.snapshot().registers.rip == 0x7C00
        assert session.run().result(10).teletype == b"A"
    finally:
        session.close()


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("until main", words.Until(0x1234)),
        ("break main+4", Break(0x1238)),
        ("x/16b main", Examine(0x1234, 16, 1)),
        ("break rip", Break(REGISTERS.rip)),
    ],
)
def test_symbols_stand_for_addresses_in_the_prompt(line: str, meaning: Any) -> None:
    symbols = {"main": 0x1234, "rip": 1}
    assert words.parse(line, REGISTERS, symbols.get) == meaning
