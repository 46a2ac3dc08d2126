"""Random bytes as guest files of every format: a guest or one line, in bounded memory."""

from __future__ import annotations

import bz2
import os
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kdash.backends.kvm import payload
from kdash.backends.kvm.facts import GuestError, Mode
from kdash.backends.kvm.guests import MEMORY_MAXIMUM
from kdash.backends.kvm.images import Format, Options, detect, load_file, make_guest, symbol_file
from kdash.backends.kvm.symbols import system_map

#: Beginnings that lead far into a reader.
HEADS = (
    b"",
    b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack("<HHI", 2, 62, 1),
    b"\x7fELF\1\1\1".ljust(16, b"\0") + struct.pack("<HHI", 2, 3, 1),
    struct.pack("<3I", 0x1BADB002, 0x10000, -(0x1BADB002 + 0x10000) & 0xFFFF_FFFF),
    bytes(510) + b"\x55\xaa" + struct.pack("<H", 0x66EB) + b"HdrS\x0f\2",
)
numbers = st.integers(0, 1 << 40) | st.sampled_from([0, 0x1000, 0x7C00, 0x10000, (1 << 64) - 1])
options = st.builds(
    Options,
    format=st.none() | st.sampled_from(list(Format)),
    mode=st.none() | st.sampled_from(list(Mode)),
    load=st.none() | numbers,
    entry=st.none() | numbers | st.text(max_size=4),
    memory=st.none() | st.integers(1, 1 << 34),
    stack=st.none() | numbers,
    tables=st.none() | numbers,
    command_line=st.none() | st.text(max_size=20),
    extract=st.booleans(),
)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(HEADS), st.binary(max_size=700), options)
def test_any_file_with_any_options_is_a_guest_or_one_line(
    head: bytes, tail: bytes, asked: Options
) -> None:
    try:
        guest = make_guest(head + tail, "random", asked)
    except GuestError as error:
        assert str(error).startswith(("random: ", "memory region ", "RAM ", "ROM "))
        assert "\n" not in str(error)
    else:
        assert 0 < guest.memory <= MEMORY_MAXIMUM
        assert guest.regions


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=2000))
@example(b"ffffffff81000000 T _text\n" * 3)
@example(b"1 T " + b"x" * 2000)
def test_any_symbol_file_is_symbols_or_one_line(data: bytes) -> None:
    try:
        assert system_map(data, "map") is not None
    except GuestError as error:
        assert "\n" not in str(error)


def test_a_symbol_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GuestError, match="not a regular file"):
        symbol_file(tmp_path / "pipe")


def test_a_payload_that_expands_without_end_is_refused_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bomb = bz2.compress(bytes(64 << 20))
    assert len(bomb) < 1000
    monkeypatch.setattr(payload, "LARGEST", 1 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(GuestError, match="expands to more than"):
            payload.expand(bomb, "bomb")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_file_larger_than_any_memory_is_refused_without_being_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MEMORY_MAXIMUM + 1)
    with pytest.raises(GuestError, match="larger than the largest memory"):
        load_file(tmp_path / "large")


@given(st.binary(max_size=600))
def test_any_bytes_have_a_format(data: bytes) -> None:
    assert detect(data) in Format
