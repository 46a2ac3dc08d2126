"""Recordings and snapshots in files."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdash.backends.kvm.facts import GuestError, GuestFileError, KvmError, Outcome, RunState
from kdash.backends.kvm.guests import article_guest, flat
from kdash.backends.kvm.guided import GuidedRun
from kdash.backends.kvm.images import Options, load_file
from kdash.backends.kvm.keys import Key
from kdash.backends.kvm.pace import Pace
from kdash.backends.kvm.recorded_run import RecordedRun
from kdash.backends.kvm.recording import Recording
from kdash.backends.kvm.recording_about import About, Inputs, MachineAbout
from kdash.backends.kvm.recording_file import MAGIC, VERSION, load, save
from kdash.backends.kvm.run import Listeners, Request, run_guest
from kdash.backends.kvm.session import VcpuSession

ABOUT = About("made here", "kvm", symbols=(("main", 0x1000),), serial=b"out")


def made(limit: int = 1 << 20) -> Recording:
    """A recording of a machine that never was: three steps that count RAX and a byte."""
    recording = Recording(1, limit)
    recording.add("memory", 0x2000, guest=0, slot=0)
    recording.begin(5, 4)
    for _ in range(3):
        # No flags but runs; VCPU 0; RAX; one run of eight bytes at 0x1010.
        entry = bytes((1, 0, 1, 0, 0, 1, 1)) + struct.pack("<IIHHQ", 1, 1 << 24 | 1, 0x10, 8, 1)
        assert recording.append(entry)
    return recording


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "made.kdash"
    save(path, made(), ABOUT)
    return path


def test_what_was_saved_is_loaded(saved: Path) -> None:
    loaded = load(saved.read_bytes(), saved.name)
    assert loaded.about == ABOUT
    recording = loaded.recording
    assert (recording.first, recording.last, recording.position) == (5, 8, 8)
    for moment, count in ((8, 1), (7, 0), (6, 1), (5, 0)):
        recording.seek(moment)
        assert recording.registers().rax == count
        assert recording.read(0x1010, 1)[0] == count
        assert recording.steps == moment - 1


def test_a_search_ends_where_it_is_told_to() -> None:
    recording = made()
    recording.seek(5)
    assert recording.find(backwards=False, changed=[(0x1010, 1)]) == 6
    recording.seek(6)
    assert recording.find(backwards=False, stops=[(0, 0)], until=6) is None
    assert recording.find(backwards=False, changed=[(0x1010, 1)], until=7) == 7
    assert recording.find(backwards=False, changed=[(0x1018, 8)]) is None
    recording.seek(8)
    assert recording.find(backwards=True, changed=[(0x1010, 1)]) == 7


def test_a_snapshot_holds_the_moment_shown_alone(tmp_path: Path) -> None:
    path = tmp_path / "one.kdash"
    recording = made()
    recording.seek(6)
    save(path, recording, ABOUT, moment_only=True)
    assert recording.position == 6
    loaded = load(path.read_bytes(), path.name).recording
    assert (loaded.first, loaded.last) == (6, 6)
    assert loaded.registers().rax == 1


def test_a_file_is_for_its_owner_alone(saved: Path) -> None:
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert os.listdir(saved.parent) == [saved.name]


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(GuestFileError, match="no folder"):
        save(tmp_path / "nowhere" / "x.kdash", made(), ABOUT)


def test_a_newer_format_is_refused(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[8] = 9
    with pytest.raises(GuestError, match=r"made\.kdash: a recording of format 9"):
        load(bytes(data), saved.name)


def test_a_foreign_file_is_refused() -> None:
    with pytest.raises(GuestError, match="x: not a recording"):
        load(b"\x7fELF" + bytes(100), "x")


def test_every_truncation_is_refused(saved: Path) -> None:
    data = saved.read_bytes()
    for length in range(0, len(data), 7):
        with pytest.raises(GuestError, match=r"made\.kdash"):
            load(data[:length], saved.name)


def test_every_damaged_byte_is_refused(saved: Path) -> None:
    data = saved.read_bytes()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        with pytest.raises(GuestError):
            load(bytes(damaged), "x")


def section(tag: bytes, data: bytes) -> bytes:
    stored = zlib.compress(data)
    return struct.pack("<4sQQI", tag, len(data), len(stored), zlib.crc32(stored)) + stored


def test_a_section_that_unpacks_to_more_than_it_says_is_refused() -> None:
    stored = zlib.compress(bytes(1 << 20))
    bomb = struct.pack("<4sQQI", b"META", 10, len(stored), zlib.crc32(stored)) + stored
    with pytest.raises(GuestError, match="does not hold the 10 bytes"):
        load(MAGIC + struct.pack("<I", VERSION) + bomb, "bomb")


def test_a_disk_and_what_was_written_to_it_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "disk.kdash"
    writes = tuple((number % 3, bytes([number % 256]) * 512) for number in range(5000))
    about = replace(
        ABOUT,
        machine=MachineAbout(0x2000, disk=bytes(range(256)) * 6),
        inputs=Inputs(b"\xff", (Key(0x1E, 0x61),), 7, writes),
    )
    save(path, made(), about)
    assert load(path.read_bytes(), path.name).about == about
    beyond = replace(about, inputs=Inputs(writes=((3, bytes(512)),)))
    save(path, made(), beyond)
    with pytest.raises(GuestError, match="sectors were written that the disk does not have"):
        load(path.read_bytes(), path.name)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
            st.sampled_from(
                ["title", "engine", "load", "symbols", "outcome", "detail", "dropped", "unsaved",
                 "vcpus", "moment", "steps", "areas", "memory", "irqchip", "host_cpuid",
                 "cpuid", "disk", "devices", "owners", "input", "keys", "clock", "exit_value"]
            ), inner, max_size=12),
        max_leaves=20,
    )
)  # fmt: skip
def test_any_meta_is_refused_in_words(meta: object) -> None:
    import json

    data = MAGIC + struct.pack("<I", VERSION) + section(b"META", json.dumps(meta).encode())
    with pytest.raises(GuestError):
        load(data, "made up")


@settings(max_examples=120, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_as_an_entry_are_taken_or_refused(entry: bytes) -> None:
    recording = made()
    before = recording.registers(), recording.read(0, 0x2000)
    if recording.append(entry):
        assert recording.last == 9
        recording.seek(8)
    assert (recording.registers(), recording.read(0, 0x2000)) == before


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=120))
def test_any_bytes_as_exits_show_as_exits_or_none(payload: bytes) -> None:
    from kdash.backends.kvm.recorded_contents import exits_before

    recording = made()
    entry = bytes((2, 0, 0, 0, 0)) + payload + struct.pack("<I", len(payload))
    assert recording.append(entry)
    assert len(exits_before(recording, 9, 5)) <= 5


@pytest.mark.kvm
def test_a_guest_is_saved_and_looked_through_again(tmp_path: Path) -> None:
    path = tmp_path / "article.kdash"
    live = GuidedRun(article_guest())
    live.begin(Pace(steps=20))
    while live.advance():
        pass
    live.save(str(path))
    guest = load_file(path)
    assert guest.recorded is not None
    run = RecordedRun(guest.recorded)
    shown = run.snapshot()
    assert (shown.state, shown.outcome, shown.serial) == (RunState.ENDED, Outcome.HLT, b"4\n")
    for moment in (3, 0, 6, 2, 7):
        live.seek(moment)
        run.seek(moment)
        one, other = live.snapshot(), run.snapshot()
        for name in ("registers", "steps", "serial", "exits", "exits_total", "disassembly"):
            assert getattr(one, name) == getattr(other, name)
        assert run.read_memory(0x1000, 12) == live.read_memory(0x1000, 12)
    run.close()
    live.close()


@pytest.mark.kvm
@pytest.mark.gcc
def test_a_recording_shows_the_source_lines_of_a_symbol_file(tmp_path: Path) -> None:
    source = tmp_path / "three.s"
    source.write_text(".globl _start\n_start: inc %eax\nnop\nhlt\n")
    elf = tmp_path / "three.elf"
    build = ["gcc", "-g", "-static", "-nostdlib", "-o", str(elf), str(source)]
    subprocess.run(build, check=True)
    path = tmp_path / "three.kdash"
    session = VcpuSession(load_file(elf))
    session.step(2).result(5)
    session.save_recording(str(path)).result(5)
    session.close()
    for symbols, line in ((None, None), (elf, 4)):
        session = VcpuSession(load_file(path, Options(symbols=symbols)))
        current = next(one for one in session.snapshot().disassembly if one.current)
        assert (current.source and current.source.line) == line
        listed = session.code(current.ip, 1)
        assert [one.source and one.source.line for one in listed] == [line]
        session.close()


@pytest.mark.kvm
def test_a_session_of_a_recording_goes_through_it(tmp_path: Path) -> None:
    path = tmp_path / "calls.kdash"
    session = VcpuSession(flat(bytes.fromhex("e80300 90f4 90 40c3"), "calls", memory=0x10000))
    session.step(20).result(5)
    session.save_recording(str(path)).result(5)
    session.close()
    session = VcpuSession(load_file(path))
    try:
        assert session.restart().result(5).steps == 0
        assert session.step_over().result(5).registers.rip == 0x1003
        assert session.reverse_next().result(5).registers.rip == 0x1000
        assert session.run().result(5).outcome is Outcome.HLT
        session.add_breakpoint(0x1006).result(5)
        assert session.reverse_continue().result(5).registers.rip == 0x1006
    finally:
        session.close()


@pytest.mark.kvm
def test_a_headless_run_records_into_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.kdash"
    heard: list[bytes] = []
    report = run_guest(Request(article_guest(), record=str(path)), Listeners(serial=heard.append))
    assert (report.steps, b"".join(heard)) == (7, b"4\n")
    loaded = load(path.read_bytes(), path.name)
    assert (loaded.recording.first, loaded.recording.last) == (0, 7)
    assert loaded.about.serial == b"4\n"


def test_what_the_emulator_runs_is_not_recorded(tmp_path: Path) -> None:
    request = Request(article_guest(), engine="emulator", record=str(tmp_path / "x.kdash"))
    with pytest.raises(KvmError, match="the emulator can't do this: record"):
        run_guest(request)
