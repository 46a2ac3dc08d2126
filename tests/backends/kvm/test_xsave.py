"""Extended state: from real VCPUs that computed, and from areas made by hand."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm._native import lib
from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.guests import article_guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.state_calls import MachineCalls
from kdash.backends.kvm.xsave import parse_fpu, parse_xsave, read_fpu
from tests.backends.kvm.scripted_calls import Lacking

AVX_AT = {2: (576, 256)}
AVX512_AT = {2: (576, 256), 5: (832, 64), 6: (896, 512), 7: (1408, 1024)}


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(article_guest()) as one:
        yield one


@pytest.fixture
def calls(machine: Machine) -> Iterator[MachineCalls]:
    one = MachineCalls(machine.vcpu.fd)
    yield one
    one.close()


def area(present: int, size: int = 4096) -> bytearray:
    data = bytearray(size)
    struct.pack_into(
        "<HHBxHQQII", data, 0, 0x37F, 0x3800, 0x80, 0x5E9, 0x1000, 0x2000, 0x1F80, 0xFFFF
    )
    data[32:42] = bytes.fromhex("00000000000000c0ff3f")  # 1.5
    data[160:176] = bytes(range(16))
    struct.pack_into("<Q", data, 512, present)
    return data


@pytest.mark.kvm
def test_a_fresh_vcpu_has_the_initial_state(calls: MachineCalls) -> None:
    state = read_fpu(calls)
    assert (state.control, state.mxcsr, state.tag) == (0x37F, 0x1F80, 0)
    assert len(state.vectors) == 16
    assert state.note == ""


@pytest.mark.kvm
def test_what_was_set_in_the_xsave_area_is_read_back(calls: MachineCalls, machine: Machine) -> None:
    from kdash.backends.kvm import ioctl

    data = bytes(area(present=3))
    ioctl.call_bytes(machine.vcpu.fd, "KVM_SET_XSAVE", data)
    state = read_fpu(calls)
    assert state.stack[0].hex() == "00000000000000c0ff3f"
    assert state.vectors[0][:16] == bytes(range(16))
    assert state.top == 7


@pytest.mark.kvm
def test_without_xsave_the_fpu_call_tells_x87_and_xmm_and_why_no_more(calls: MachineCalls) -> None:
    state = read_fpu(Lacking(calls, "XSAVE2", "XSAVE"))
    assert state.source == "KVM_GET_FPU"
    assert "KVM_CAP_XSAVE" in state.note
    assert state.mxcsr is None
    assert len(state.vectors[0]) == 16


@pytest.mark.kvm
def test_without_xsave2_the_area_of_4096_bytes_is_read(calls: MachineCalls) -> None:
    assert read_fpu(Lacking(calls, "XSAVE2")).source == "KVM_GET_XSAVE"


def test_the_legacy_region_is_decoded_by_fields() -> None:
    state = parse_xsave(bytes(area(3)), {}, "made")
    assert (state.control, state.status, state.tag, state.opcode) == (0x37F, 0x3800, 0x80, 0x5E9)
    assert (state.ip, state.dp, state.mxcsr, state.mxcsr_mask) == (0x1000, 0x2000, 0x1F80, 0xFFFF)


def test_ymm_registers_are_their_halves_together() -> None:
    data = area(7)
    data[576:592] = b"\xaa" * 16
    state = parse_xsave(bytes(data), AVX_AT, "made")
    assert state.vectors[0] == bytes(range(16)) + b"\xaa" * 16
    assert state.vector_bytes == 32


def test_avx_512_has_32_registers_of_64_bytes_and_masks() -> None:
    data = area(0xE7)
    data[896 : 896 + 32] = b"\xbb" * 32
    data[1408 : 1408 + 64] = b"\xcc" * 64
    struct.pack_into("<Q", data, 832 + 8, 0xF0)
    state = parse_xsave(bytes(data), AVX512_AT, "made")
    assert len(state.vectors) == 32
    assert state.vectors[0][32:] == b"\xbb" * 32
    assert state.vectors[16] == b"\xcc" * 64
    assert state.opmasks[1] == 0xF0


def test_a_component_in_its_initial_state_is_zero_whatever_the_area_holds() -> None:
    data = area(3)
    data[576:592] = b"\xaa" * 16
    assert parse_xsave(bytes(data), AVX_AT, "made").vectors[0][16:] == bytes(16)


def test_an_area_too_short_is_refused() -> None:
    with pytest.raises(KvmError, match="XSAVE area"):
        parse_xsave(bytes(100), {}, "made")


@given(
    st.binary(min_size=576, max_size=3000),
    st.dictionaries(st.integers(2, 18), st.tuples(st.integers(0, 4096), st.integers(0, 4096))),
)
def test_any_area_with_components_anywhere_gives_registers_of_one_width(
    data: bytes, components: dict[int, tuple[int, int]]
) -> None:
    state = parse_xsave(data, components, "made")
    assert len(state.vectors) in (16, 32)
    assert {len(vector) for vector in state.vectors} <= {16, 32, 64}
    assert len({len(vector) for vector in state.vectors}) == 1


def test_the_fpu_structure_is_as_large_as_the_kernel_says() -> None:
    data = bytearray(lib.KVM_GET_FPU >> 16 & 0x3FFF)
    data[152:168] = bytes(range(16))
    assert parse_fpu(bytes(data)).vectors[0] == bytes(range(16))
