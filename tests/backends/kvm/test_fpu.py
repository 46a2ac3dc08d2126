"""The x87 and SSE registers of a VCPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.fpu import XSAVE_SIZE, FpuState, in_use
from kdash.backends.kvm.guests import article_guest
from kdash.backends.kvm.machine import Machine

ONE = bytes(7) + b"\x80\xff\x3f"
ZERO = bytes(10)
INFINITY = bytes(7) + b"\x80\xff\x7f"
DENORMAL = b"\x01" + bytes(9)


def state(top: int, tags: int, *registers: bytes) -> FpuState:
    stack = (*registers, *(ZERO for _ in range(8 - len(registers))))
    return FpuState(stack, 0x37F, top << 11, tags, 0, 0, 0, (bytes(16),) * 16, 0x1F80)


@given(st.binary(min_size=513, max_size=600), st.binary(min_size=513, max_size=600))
def test_what_is_unpacked_packs_into_any_area(area: bytes, other: bytes) -> None:
    first = FpuState.unpack(area)
    packed = first.packed(other)
    assert FpuState.unpack(packed) == first
    assert packed[512] & 3 == 3
    assert (packed[28:32], packed[416:512], packed[513:]) == (
        other[28:32],
        other[416:512],
        other[513:],
    )


def test_an_area_as_kvm_gives_it_is_large_enough() -> None:
    FpuState.unpack(bytes(XSAVE_SIZE))


def test_an_empty_stack_has_the_tag_word_of_fninit() -> None:
    assert state(0, 0).tag_word == 0xFFFF


def test_the_tag_word_tells_the_kind_of_each_physical_register() -> None:
    # With TOP at 5, ST0 to ST2 are the physical registers 5 to 7.
    assert state(5, 0b1110_0000, ONE, ZERO, INFINITY).tag_word == 0b10_01_00_11_11_11_11_11
    assert state(7, 0b1000_0000, DENORMAL).tag_word == 0b10 << 14 | 0x3FFF


@given(st.integers(0, 0xFF), st.integers(0, 7))
def test_a_tag_word_gives_back_which_registers_are_in_use(tags: int, top: int) -> None:
    assert in_use(state(top, tags).tag_word) == tags


@pytest.mark.kvm
def test_a_vcpu_keeps_what_is_set() -> None:
    with Machine(article_guest()) as machine:
        wanted = replace(
            machine.vcpu.fpu(),
            st=(ONE, *(ZERO,) * 7),
            status=7 << 11,
            tags=0x80,
            xmm=(bytes(range(16)), *(bytes(16),) * 15),
            mxcsr=0x1F80,
        )
        machine.vcpu.set_fpu(wanted)
        assert machine.vcpu.fpu() == wanted
