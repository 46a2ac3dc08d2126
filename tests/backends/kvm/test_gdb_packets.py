"""Framing of the remote serial protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.gdb_packets import (
    PACKET_SIZE,
    Packet,
    PacketReader,
    PacketTooLongError,
    Sign,
    checksum,
    escape,
    frame,
    shorten,
    unescape,
)


def packed(contents: bytes) -> bytes:
    """A packet as gdb sends it: without runs."""
    return b"$%s#%s" % (contents, checksum(contents))


def expanded(contents: bytes) -> bytes:
    """What gdb makes of runs."""
    data = bytearray()
    at = 0
    while at < len(contents):
        if contents[at] == ord("*"):
            data += data[-1:] * (contents[at + 1] - 29)
            at += 2
        else:
            data.append(contents[at])
            at += 1
    return bytes(data)


def test_a_packet_is_read() -> None:
    assert PacketReader().feed(b"$qC#b4") == [Packet(b"qC")]


def test_a_packet_may_come_byte_by_byte() -> None:
    reader = PacketReader()
    found = [item for byte in b"+$qC#b4" for item in reader.feed(bytes((byte,)))]
    assert found == [Sign.ACK, Packet(b"qC")]


def test_a_wrong_checksum_is_told() -> None:
    assert PacketReader().feed(b"$qC#b5$qC#zz$qC#B4") == [Sign.BROKEN, Sign.BROKEN, Packet(b"qC")]


def test_acknowledgements_and_interrupts_lie_outside_of_packets() -> None:
    assert PacketReader().feed(b"+-\x03$+-\x03#5b\x03") == [
        Sign.ACK,
        Sign.NACK,
        Sign.INTERRUPT,
        Packet(b"+-\x03"),
        Sign.INTERRUPT,
    ]


def test_a_packet_that_was_cut_off_makes_way_for_the_next() -> None:
    assert PacketReader().feed(b"$m1000,$qC#b4") == [Packet(b"qC")]


def test_bytes_between_packets_are_passed_over() -> None:
    assert PacketReader().feed(b"GET / HTTP/1.0\r\n\r\n$qC#b4junk") == [Packet(b"qC")]


def test_a_packet_longer_than_announced_is_refused() -> None:
    reader = PacketReader()
    assert reader.feed(packed(bytes(PACKET_SIZE))) == [Packet(bytes(PACKET_SIZE))]
    with pytest.raises(PacketTooLongError):
        reader.feed(b"$" + bytes(PACKET_SIZE + 1))


@pytest.mark.parametrize(
    ("run", "short"),
    [
        (b"000", b"000"),
        (b"0000", b"0* "),
        (b"0" * 7, b'0*"0'),  # six repeats would print as #
        (b"0" * 8, b'0*"00'),  # seven as $
        (b"0" * 9, b"0*%"),
        (b"0" * 98, b"0*~"),
        (b"0" * 99, b"0*~0"),
    ],
)
def test_a_run_is_shortened(run: bytes, short: bytes) -> None:
    assert shorten(run) == short


@given(st.binary(max_size=300))
def test_random_bytes_never_break_the_reader(junk: bytes) -> None:
    reader = PacketReader()
    reader.feed(junk)
    assert reader.feed(b"$#00$qC#b4")[-1] == Packet(b"qC")


@given(st.binary(max_size=300))
def test_escapes_are_undone(data: bytes) -> None:
    assert unescape(escape(data)) == data
    assert PacketReader().feed(packed(escape(data))) == [Packet(data)]


@given(
    st.lists(st.tuples(st.sampled_from(b"0f#$}*x"), st.integers(1, 250)), max_size=6).map(
        lambda runs: b"".join(bytes((byte,)) * count for byte, count in runs)
    )
)
def test_gdb_gets_back_what_was_framed(data: bytes) -> None:
    contents, _, end = frame(data)[1:].rpartition(b"#")
    assert end == checksum(contents)
    assert b"#" not in contents
    assert b"$" not in contents
    assert unescape(expanded(contents)) == data
