"""Source lines: tables made by gcc, and damaged ones."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdash.backends.kvm import elf
from kdash.backends.kvm.images import Options, load_file
from kdash.backends.kvm.lines import Lines, address_ranges
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.source_files import LARGEST, SourceFiles, read_regular

SOURCE = """\
static int twice(int value)
{
\treturn value + value;
}

void _start(void)
{
\tvolatile int sum = twice(3);
\t(void)sum;
\tasm volatile("hlt");
}
"""


def build(folder: Path, *options: str) -> Path:
    """An ELF64 executable of SOURCE at 0x200000 with line tables."""
    (folder / "guest.c").write_text(SOURCE)
    subprocess.run(
        ["gcc", "-O0", "-fno-stack-protector", "-fcf-protection=none", "-nostdlib", "-static",
         "-no-pie", "-Wl,--build-id=none", "-Wl,-Ttext=0x200000", *(options or ("-g",)),
         "-o", "guest.elf", "guest.c"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder / "guest.elf"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("lines"))


def address_of(path: Path, name: str) -> int:
    address = elf.read_symbols(path.read_bytes(), "t").address(name)
    assert address is not None
    return address


@pytest.mark.gcc
@pytest.mark.parametrize(
    "options",
    [
        ("-g",),
        ("-gdwarf-4",),
        ("-gdwarf-3",),
        ("-gdwarf-5", "-gz"),
        ("-gdwarf-5", "-gno-as-loc-support"),
    ],
)
def test_an_address_has_its_line_and_text(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = build(tmp_path, *options)
    line = Lines(path).find(address_of(path, "twice"), 10)
    assert line is not None
    assert (line.file, line.line, line.text) == ("guest.c", 2, "{")


@pytest.mark.gcc
def test_units_are_found_without_a_table_of_their_ranges(image: Path, tmp_path: Path) -> None:
    stripped = tmp_path / "stripped.elf"
    subprocess.run(["objcopy", "--remove-section=.debug_aranges", image, stripped], check=True)
    line = Lines(stripped).find(address_of(image, "twice") + 1, 10)
    assert line is not None
    assert line.line == 2


@pytest.mark.gcc
def test_an_address_without_code_has_no_line(image: Path) -> None:
    lines = Lines(image.read_bytes())
    assert lines.find(0x10, 10) is None
    assert lines.find(0x7FFFFFFF, 10) is None
    assert not lines.failure


@pytest.mark.gcc
def test_the_first_answer_does_not_wait_and_a_later_one_is_known(image: Path) -> None:
    lines = Lines(image)
    address = address_of(image, "twice")
    assert lines.find(address) is None
    assert lines.find(address, 10) is not None
    assert lines.find(address) is not None


@pytest.mark.gcc
def test_the_source_is_looked_for_beside_the_image(image: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "guest.c").write_text("one\ntwo\nthree\n")
    original = image.parent / "guest.c"
    text = original.read_text()
    original.unlink()
    try:
        line = Lines(image, (moved,)).find(address_of(image, "twice"), 10)
    finally:
        original.write_text(text)
    assert line is not None
    assert line.text == "two"


@pytest.mark.gcc
@pytest.mark.kvm
def test_the_instructions_of_a_session_have_their_lines(image: Path) -> None:
    session = VcpuSession(load_file(image))
    try:
        session.snapshot()
        snapshot = session.step().result(10)
        for _ in range(20):
            (current,) = [one for one in snapshot.disassembly if one.current]
            if current.source is not None and current.source.line == 3:
                break
            snapshot = session.step().result(10)
        assert current.source is not None
        assert current.source.text == "        return value + value;"
        assert Path(current.source.path).name == "guest.c"
    finally:
        session.close()


@pytest.mark.gcc
def test_lines_come_from_the_symbol_file_where_one_is_given(image: Path, tmp_path: Path) -> None:
    flat = tmp_path / "guest.bin"
    subprocess.run(["objcopy", "-O", "binary", image, flat], check=True)
    guest = load_file(flat, Options(symbols=image))
    assert guest.lines is not None
    line = guest.lines.find(address_of(image, "_start"), 10)
    assert line is not None
    assert line.line == 7
    assert load_file(flat).lines is None


# -- bad input


@pytest.mark.gcc
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_tables_cost_their_lines_alone(image: Path, data: Any) -> None:
    whole = bytearray(image.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0x1000, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    lines = Lines(bytes(whole))
    lines.find(address_of(image, "twice"), 10)
    assert "\n" not in lines.failure


@given(st.binary(max_size=200))
def test_random_bytes_have_no_lines(data: bytes) -> None:
    assert not elf.has_lines(data)
    assert not elf.has_lines(elf.MAGIC + data)
    assert Lines(elf.MAGIC + data).find(0x1000, 10) is None


@given(st.binary(max_size=200))
def test_random_address_ranges_are_ranges_or_nothing(data: bytes) -> None:
    for start, end, _ in address_ranges(data):
        assert start < end


def test_address_ranges_of_32_and_64_bits_are_read() -> None:
    wide = struct.pack("<IHIBBI4Q", 44, 2, 7, 8, 0, 0, 0x1000, 0x10, 0, 0)
    narrow = struct.pack("<IHIBBI4I", 28, 2, 9, 4, 0, 0, 0x2000, 0x20, 0, 0)
    assert list(address_ranges(wide + narrow)) == [(0x1000, 0x1010, 7), (0x2000, 0x2020, 9)]


def test_only_regular_files_of_a_sensible_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/hostname")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST + 1)
    for name in ("pipe", "link", "large", "missing", "a\0b"):
        assert read_regular(tmp_path / name) is None
    assert read_regular(tmp_path) is None
    assert read_regular(Path("/dev/zero")) is None


def test_lines_beyond_the_file_are_empty(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_bytes(b"one\r\n\xff\ttwo")
    files = SourceFiles()
    assert files.line(str(tmp_path), "a.c", 1) == "one"
    assert files.line(str(tmp_path), "a.c", 2) == "�       two"
    assert files.line(str(tmp_path), "a.c", 3) == files.line(str(tmp_path), "a.c", 0) == ""


@pytest.mark.gcc
def test_a_debug_section_of_endless_zeros_is_refused(image: Path, tmp_path: Path) -> None:
    data = bytearray(image.read_bytes())
    at, count = struct.unpack_from("<Q", data, 0x28)[0], struct.unpack_from("<H", data, 0x3C)[0]
    for number in range(count):
        header = at + 64 * number
        (kind,) = struct.unpack_from("<I", data, header + 4)
        (address,) = struct.unpack_from("<Q", data, header + 16)
        if kind == 1 and not address:  # debug sections are loaded nowhere
            struct.pack_into("<I", data, header + 4, 8)  # SHT_NOBITS
            struct.pack_into("<Q", data, header + 32, 1 << 40)
    lines = Lines(bytes(data))
    assert lines.find(0x200000, 10) is None
    assert "bytes of debug sections" in lines.failure


@pytest.mark.gcc
@pytest.mark.kvm
def test_a_trace_tells_symbol_and_source_of_each_step(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from kdash.commands.vcpu import run

    assert run(["trace", str(image)]) == 0
    steps = [json.loads(line) for line in capsys.readouterr().out.splitlines()[:-1]]
    inside = [one for one in steps if one.get("symbol", "").startswith("twice")]
    assert {one["source"]["line"] for one in inside} == {2, 3, 4}
    assert {one["source"]["file"] for one in inside} == {"guest.c"}
