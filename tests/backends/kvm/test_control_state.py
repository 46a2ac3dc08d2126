"""System registers, pending events and MP state, on real VCPUs and from structures."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.control_state import (
    PAYLOAD_VALID,
    SHADOW_VALID,
    SMM_VALID,
    TRIPLE_FAULT_VALID,
    parse_debug,
    parse_events,
    parse_xcr0,
    read_control,
)
from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.state_calls import MachineCalls
from tests.backends.kvm.scripted_calls import Lacking


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(flat(b"\xf4", "hlt", mode=Mode.LONG)) as one:
        yield one


@pytest.fixture
def calls(machine: Machine) -> Iterator[MachineCalls]:
    one = MachineCalls(machine.vcpu.fd)
    yield one
    one.close()


@pytest.mark.kvm
def test_a_fresh_vcpu_has_the_reset_values_of_its_debug_registers(
    machine: Machine, calls: MachineCalls
) -> None:
    state = read_control(calls, machine.vcpu.registers())
    assert state.debug is not None
    assert (state.debug.db, state.debug.dr6, state.debug.dr7) == ((0,) * 4, 0xFFFF0FF0, 0x400)


@pytest.mark.kvm
def test_a_fresh_vcpu_is_runnable_and_waits_for_nothing(
    machine: Machine, calls: MachineCalls
) -> None:
    state = read_control(calls, machine.vcpu.registers())
    assert state.mp_state == 0
    assert state.events is not None
    assert not state.events.nmi_pending
    assert not state.events.exception_pending
    assert state.unavailable == ()


@pytest.mark.kvm
def test_the_gdt_is_where_the_mode_put_it(machine: Machine, calls: MachineCalls) -> None:
    state = read_control(calls, machine.vcpu.registers())
    assert machine.memory.read(state.gdt.base, 8) == bytes(8)
    assert state.gdt.limit >= 0x17


@pytest.mark.kvm
@pytest.mark.parametrize(
    ("capability", "part"),
    [
        ("DEBUGREGS", "debug registers"),
        ("XCRS", "XCR0"),
        ("MP_STATE", "MP state"),
        ("VCPU_EVENTS", "pending events"),
    ],
)
def test_a_missing_capability_is_named_and_the_rest_goes_on(
    machine: Machine, calls: MachineCalls, capability: str, part: str
) -> None:
    state = read_control(Lacking(calls, capability), machine.vcpu.registers())
    assert [name for name, _ in state.unavailable] == [part]
    assert f"KVM_CAP_{capability}" in state.unavailable[0][1]
    told = (state.debug, state.xcr0, state.mp_state, state.events)
    assert sum(one is None for one in told) == 1


def events(flags: int, **fields: int) -> bytes:
    data = bytearray(64)
    places = {
        "exception_injected": 0, "vector": 1, "has_error": 2, "exception_pending": 3,
        "interrupt_injected": 8, "shadow": 11, "nmi_pending": 13, "smm": 24, "smi_pending": 25,
        "triple": 28, "has_payload": 55,
    }  # fmt: skip
    for name, value in fields.items():
        data[places[name]] = value
    struct.pack_into("<I", data, 4, 0x1234)
    struct.pack_into("<I", data, 20, flags)
    struct.pack_into("<Q", data, 56, 0xFFFF_8000_0000_0000)
    return bytes(data)


def test_an_exception_has_its_error_code_only_where_it_says_so() -> None:
    assert parse_events(events(0, exception_injected=1, vector=14)).exception_error_code is None
    found = parse_events(events(0, exception_injected=1, vector=14, has_error=1))
    assert (found.exception_vector, found.exception_error_code) == (14, 0x1234)


def test_fields_that_the_flags_do_not_vouch_for_are_left_alone() -> None:
    data = {"exception_pending": 1, "shadow": 2, "smm": 1, "smi_pending": 1, "triple": 1,
            "has_payload": 1}  # fmt: skip
    none = parse_events(events(0, **data))
    assert not (none.exception_pending or none.interrupt_shadow or none.smm or none.smi_pending)
    assert not none.triple_fault_pending
    assert none.exception_payload is None
    flags = SHADOW_VALID | SMM_VALID | PAYLOAD_VALID | TRIPLE_FAULT_VALID
    every = parse_events(events(flags, **data))
    assert every.exception_pending
    assert every.smm
    assert every.smi_pending
    assert every.triple_fault_pending
    assert every.interrupt_shadow == 2
    assert every.exception_payload == 0xFFFF_8000_0000_0000


def test_debug_registers_are_six_words() -> None:
    data = struct.pack("<6Q", 1, 2, 3, 4, 0xFFFF0FF1, 0x401) + bytes(80)
    found = parse_debug(data)
    assert (found.db, found.dr6, found.dr7) == ((1, 2, 3, 4), 0xFFFF0FF1, 0x401)


def test_xcr0_is_found_among_others() -> None:
    data = struct.pack("<II", 2, 0) + struct.pack("<IIQIIQ", 1, 0, 9, 0, 0, 7)
    assert parse_xcr0(data) == 7
    assert parse_xcr0(struct.pack("<II", 0, 0) + bytes(384)) is None


@given(st.binary(min_size=8, max_size=600))
def test_any_count_of_xcrs_is_read_within_the_structure(data: bytes) -> None:
    found = parse_xcr0(data)
    assert found is None or 0 <= found < 1 << 64
