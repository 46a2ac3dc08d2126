"""KVM's binary statistics: real files, and files made by hand."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.binary_stats import (
    Descriptor,
    StatisticsFile,
    parse_descriptors,
    parse_header,
    parse_values,
)
from kdash.backends.kvm.engines import open_runner
from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.guests import article_guest
from kdash.backends.kvm.machine import Machine


def descriptor(name: bytes, flags: int, size: int, offset: int, exponent: int = 0) -> bytes:
    return struct.pack("<IhHII", flags, exponent, size, offset, 7) + name.ljust(48, b"\0")


@pytest.mark.kvm
def test_a_vcpu_counts_its_exits() -> None:
    with Machine(article_guest()) as machine:
        file = StatisticsFile(machine.vcpu.fd, "vcpu 0")
        before = {one.name: one.values[0] for one in file.read()}
        runner = open_runner(machine, "kvm")
        while runner.ending is None:
            runner.run()
        after = {one.name: one.values[0] for one in file.read()}
        file.close()
    assert after["exits"] + after.get("insn_emulation", 0) > before["exits"]


@pytest.mark.kvm
def test_a_closed_file_leaves_no_descriptor_open() -> None:
    with Machine(article_guest()) as machine:
        before = len(os.listdir("/proc/self/fd"))
        file = StatisticsFile(machine.vcpu.fd, "vcpu 0")
        file.close()
        file.close()
        assert len(os.listdir("/proc/self/fd")) == before


def test_descriptors_tell_kind_unit_and_scale() -> None:
    data = descriptor(b"halt_wait_ns", 0 | 2 << 4, 1, 8, -9) + descriptor(b"hist", 4, 3, 16)
    one, two = parse_descriptors(data, parse_header(struct.pack("<6I", 0, 48, 2, 24, 72, 500)))
    assert (one.name, one.kind, one.unit, one.base, one.exponent) == (
        "halt_wait_ns", "cumulative", "seconds", 10, -9,
    )  # fmt: skip
    assert (two.kind, two.size, two.bucket) == ("log hist", 3, 7)


def test_values_are_read_where_the_descriptor_says() -> None:
    descriptors = (Descriptor("a", "instant", "", 10, 0, 1, 8, 0),
                   Descriptor("b", "log hist", "", 10, 0, 2, 16, 0))  # fmt: skip
    found = parse_values(struct.pack("<4Q", 1, 2, 3, 4), descriptors, "vm")
    assert [(one.name, one.values) for one in found] == [("a", (2,)), ("b", (3, 4))]


def test_values_that_are_not_there_are_left_out() -> None:
    assert parse_values(bytes(8), (Descriptor("a", "peak", "", 10, 0, 1, 8, 0),), "vm") == ()


def test_what_a_later_kernel_adds_is_shown_by_number() -> None:
    header = parse_header(struct.pack("<6I", 0, 48, 1, 24, 72, 500))
    (one,) = parse_descriptors(descriptor(b"new", 9 | 9 << 4, 1, 0), header)
    assert (one.kind, one.unit) == ("unknown 9", "unknown 9")


@given(st.binary(max_size=400), st.binary(max_size=200))
def test_any_bytes_are_statistics_or_are_refused(data: bytes, values: bytes) -> None:
    try:
        header = parse_header(data)
        found = parse_values(values, parse_descriptors(data[24:], header), "vm")
    except KvmError:
        return
    assert all(one.name.isascii() for one in found)


@given(
    st.lists(st.tuples(st.integers(0, 0xFFF), st.integers(0, 5), st.integers(0, 64)), max_size=8),
    st.binary(min_size=128, max_size=128),
)
def test_any_descriptors_are_read_within_the_data(
    some: list[tuple[int, int, int]], values: bytes
) -> None:
    data = b"".join(descriptor(b"x", flags, size, offset) for flags, size, offset in some)
    header = parse_header(struct.pack("<6I", 0, 48, len(some), 24, 72, 500))
    for one in parse_values(values, parse_descriptors(data, header), "vm"):
        assert len(one.values) * 8 <= len(values)
