"""Model-specific registers: listed, read around refusals, named."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm import msrs
from kdash.backends.kvm.guests import article_guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.msr_names import msr_name
from kdash.backends.kvm.state_calls import MachineCalls
from tests.backends.kvm.scripted_calls import ScriptedCalls


def listing(*numbers: int) -> bytes:
    return struct.pack(f"<I{len(numbers)}I", len(numbers), *numbers)


@pytest.mark.kvm
def test_a_real_vcpu_tells_its_msrs_by_name_and_value() -> None:
    with Machine(article_guest()) as machine:
        calls = MachineCalls(machine.vcpu.fd)
        machine.vcpu.set_register("efer", 1)
        state = msrs.read_msrs(calls)
        calls.close()
    own = {one.name: one for one in state.msrs if not one.feature}
    assert own["EFER"].value == 1
    assert own["IA32_TSC"].value
    assert own["LSTAR"].value == 0
    assert state.unavailable == ()
    numbers = [one.number for one in state.msrs if not one.feature]
    assert numbers == sorted(numbers)


def test_one_that_is_refused_has_no_value_and_the_rest_is_read() -> None:
    calls = ScriptedCalls(msrs={1: 10, 3: 30, 5: 50})
    assert msrs.read_values(calls.vcpu_msrs, [1, 2, 3, 4, 5]) == [
        (1, 10), (2, None), (3, 30), (4, None), (5, 50),
    ]  # fmt: skip


@given(st.sets(st.integers(0, 2000)), st.sets(st.integers(0, 2000)))
def test_whatever_is_refused_the_others_are_read(known: set[int], asked: set[int]) -> None:
    calls = ScriptedCalls(msrs={number: number + 7 for number in known})
    found = msrs.read_values(calls.vcpu_msrs, sorted(asked))
    assert found == [(n, n + 7 if n in known else None) for n in sorted(asked)]


@given(st.binary(max_size=64))
def test_a_list_is_read_within_the_structure(data: bytes) -> None:
    assert len(msrs.parse_list(data)) <= max(0, len(data) // 4 - 1)


def test_without_the_capability_feature_msrs_are_a_gap_and_the_rest_goes_on() -> None:
    calls = ScriptedCalls(answers={"KVM_GET_MSR_INDEX_LIST": listing(0x10)}, msrs={0x10: 5})
    state = msrs.read_msrs(calls)
    assert (state.msrs[0].name, state.msrs[0].value) == ("IA32_TSC", 5)
    assert [(part, "GET_MSR_FEATURES" in why) for part, why in state.unavailable] == [
        ("feature MSRs", True)
    ]


def test_a_feature_msr_is_told_apart_from_the_vcpus_own() -> None:
    calls = ScriptedCalls(
        {"GET_MSR_FEATURES": 1},
        {"KVM_GET_MSR_INDEX_LIST": listing(), "KVM_GET_MSR_FEATURE_INDEX_LIST": listing(0x10A)},
        {0x10A: 1},
    )
    features = [one for one in msrs.read_msrs(calls).msrs if one.feature]
    assert [(one.name, one.value) for one in features] == [("IA32_ARCH_CAPABILITIES", 1)]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0xC0000080, "EFER"), (0x200, "MTRR_PHYSBASE0"), (0x20F, "MTRR_PHYSMASK7"),
        (0x40D, "IA32_MC3_STATUS"), (0x808, "X2APIC 0x8"), (0x4B564D03, "KVM_STEAL_TIME"),
        (0xDEAD, ""),
    ],
)  # fmt: skip
def test_names_are_those_of_the_manuals(number: int, name: str) -> None:
    assert msr_name(number) == name
