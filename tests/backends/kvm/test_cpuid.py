"""CPUID: entries decoded, asked for and set."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm import cpuid
from kdash.backends.kvm.cpuid_request import HOST, NONE, CpuidSetting, parse_request
from kdash.backends.kvm.facts import GuestError, KvmError
from kdash.backends.kvm.guests import Guest, article_guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.state_calls import MachineCalls
from kdash.backends.kvm.state_facts import CpuidEntry
from tests.backends.kvm.scripted_calls import ScriptedCalls

NUMBERS = st.integers(0, (1 << 32) - 1)
ENTRIES = st.builds(CpuidEntry, NUMBERS, NUMBERS, st.booleans(), NUMBERS, NUMBERS, NUMBERS, NUMBERS)


@pytest.fixture
def calls() -> Iterator[MachineCalls]:
    with Machine(replace(article_guest(), host_cpuid=False)) as machine:
        one = MachineCalls(machine.vcpu.fd)
        yield one
        one.close()


@pytest.mark.kvm
def test_a_vcpu_answers_what_kvm_supports_unless_told_otherwise() -> None:
    with Machine(article_guest()) as machine:
        calls = MachineCalls(machine.vcpu.fd)
        state = cpuid.read_cpuid(calls)
        calls.close()
    assert [leaf.entry.leaf for leaf in state.own] == [leaf.entry.leaf for leaf in state.supported]
    assert state.supported[0].entry.leaf == 0
    assert state.unavailable == ()


@pytest.mark.kvm
def test_a_vcpu_that_was_given_none_answers_nothing(calls: MachineCalls) -> None:
    assert cpuid.read_cpuid(calls).own == ()


@pytest.mark.kvm
def test_what_was_set_is_what_the_vcpu_answers(calls: MachineCalls) -> None:
    cpuid.set_cpuid(calls, [CpuidSetting(0, None, "eax", 0x16), CpuidSetting(0x15, None, "eax", 3)])
    own = cpuid.get_own(calls)
    assert [(entry.leaf, entry.eax) for entry in own] == [(0, 0x16), (0x15, 3)]


@pytest.mark.kvm
def test_the_hosts_set_can_be_given_to_the_vcpu(calls: MachineCalls) -> None:
    cpuid.set_cpuid(calls, [HOST])
    own = {(entry.leaf, entry.subleaf) for entry in cpuid.get_own(calls)}
    supported = {(entry.leaf, entry.subleaf) for entry in cpuid.get_supported(calls)}
    assert own == supported


def test_a_refusal_names_what_was_set() -> None:
    with pytest.raises(GuestError, match=r"--cpuid 0x1.ecx=0x1: refused.*KVM_SET_CPUID2 failed"):
        cpuid.set_cpuid(ScriptedCalls(), [CpuidSetting(1, None, "ecx", 1)])


def test_a_setting_changes_its_register_alone() -> None:
    host = (CpuidEntry(1, 0, False, 1, 2, 3, 4), CpuidEntry(7, 1, True, 5, 6, 7, 8))
    found = cpuid.requested(
        ["host", CpuidSetting(1, None, "ecx", 9), CpuidSetting(7, 1, "eax", 0)], lambda: host
    )
    assert found == (CpuidEntry(1, 0, False, 1, 2, 9, 4), CpuidEntry(7, 1, True, 0, 6, 7, 8))


def test_none_takes_all_leaves_away() -> None:
    host = (CpuidEntry(1, 0, False, 1, 2, 3, 4),)
    assert cpuid.requested([HOST, NONE], lambda: host) == ()


def test_a_setting_of_a_leaf_that_is_not_there_adds_it() -> None:
    found = cpuid.requested([CpuidSetting(0x40000000, None, "ebx", 5)], lambda: ())
    assert found == (CpuidEntry(0x40000000, 0, False, 0, 5, 0, 0),)
    found = cpuid.requested([CpuidSetting(7, 2, "edx", 5)], lambda: ())
    assert found == (CpuidEntry(7, 2, True, 0, 0, 0, 5),)


def test_requests_are_read_as_typed() -> None:
    assert parse_request("HOST") == "host"
    assert parse_request("none") == NONE
    assert parse_request("1.ecx=0x80000000") == CpuidSetting(1, None, "ecx", 0x80000000)
    assert parse_request("0x7:1.EAX=16") == CpuidSetting(7, 1, "eax", 16)


@pytest.mark.parametrize(
    "text", ["", "1.ecx", "1=2", "x.eax=1", "1.efx=1", "1.eax=-1", "1.eax=0x100000000", "1:.eax=1"]
)
def test_a_malformed_request_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match=r"LEAF\[:SUB\]\.REG=VALUE|32 bits"):
        parse_request(text)


@given(st.lists(ENTRIES, max_size=20))
def test_entries_come_back_as_they_were_packed(entries: list[CpuidEntry]) -> None:
    assert cpuid.parse_entries(cpuid.pack_entries(entries)) == tuple(entries)


@given(st.binary(max_size=200))
def test_any_bytes_give_only_entries_that_are_whole(data: bytes) -> None:
    assert len(cpuid.parse_entries(data)) <= len(data) // 40


@given(ENTRIES)
def test_every_entry_can_be_decoded_to_printable_text(entry: CpuidEntry) -> None:
    leaf = cpuid.decode(entry)
    assert (leaf.meaning + leaf.name + "".join(leaf.features)).isprintable()


def test_features_are_named_by_their_bits() -> None:
    leaf = cpuid.decode(CpuidEntry(1, 0, False, 0x000A10F11, 0x01000800, 1 << 31 | 1, 1 << 25))
    assert leaf.features == ("sse3", "hypervisor", "sse")
    assert leaf.meaning == "family 0x19 model 0x11 stepping 0x1, APIC id 1"


def test_the_vendor_and_the_hypervisor_are_spelled_out() -> None:
    vendor = CpuidEntry(0, 0, False, 0x1C, 0x68747541, 0x444D4163, 0x69746E65)
    assert cpuid.decode(vendor).meaning == "AuthenticAMD, up to leaf 0x1c"
    kvm = CpuidEntry(0x40000000, 0, False, 0x40000001, 0x4B4D564B, 0x564B4D56, 0x4D)
    assert cpuid.decode(kvm).meaning == "KVMKVMKVM, up to leaf 0x40000001"


def test_more_entries_than_expected_are_asked_for_again() -> None:
    def answer(data: bytes) -> bytes:
        if int.from_bytes(data[:4], "little") < 300:
            raise KvmError("E2BIG", "", errno.E2BIG)
        return cpuid.pack_entries([CpuidEntry(n, 0, False, 0, 0, 0, 0) for n in range(300)])

    calls = ScriptedCalls(answers={"KVM_GET_SUPPORTED_CPUID": answer})
    assert len(cpuid.get_supported(calls)) == 300


def test_one_that_can_not_be_told_leaves_the_other() -> None:
    own = cpuid.pack_entries([CpuidEntry(0, 0, False, 1, 2, 3, 4)])
    state = cpuid.read_cpuid(ScriptedCalls(answers={"KVM_GET_CPUID2": own}))
    assert len(state.own) == 1
    assert [part for part, _ in state.unavailable] == ["supported CPUID"]


def test_the_hosts_set_has_the_apic_id_of_the_vcpu() -> None:
    host = [CpuidEntry(1, 0, False, 0, 0x05000800, 0, 0), CpuidEntry(0xB, 0, True, 0, 0, 0, 5)]
    own = cpuid.for_vcpu(host, 2)
    assert (own[0].ebx, own[1].edx) == (0x02000800, 2)


@pytest.mark.kvm
def test_the_guest_reads_what_was_set() -> None:
    from kdash.backends.kvm.engines import open_runner
    from kdash.backends.kvm.guests import flat

    # mov eax,0x40000000; cpuid; hlt
    code = bytes.fromhex("66b8000000400fa2f4")
    guest = replace(flat(code, "cpuid"), cpuid=(CpuidSetting(0x40000000, None, "ebx", 0x1234),))
    with Machine(guest) as machine:
        runner = open_runner(machine, "kvm")
        while runner.ending is None:
            runner.run()
        assert machine.vcpu.registers().rbx == 0x1234


@pytest.mark.kvm
def test_each_of_several_vcpus_has_its_own_cpuid() -> None:
    from kdash.backends.kvm.guests import flat

    guest = replace(flat(b"\xf4", "hlt"), vcpus=2)
    for asked in ((), (HOST,)):
        check_apic_ids(replace(guest, cpuid=asked))


def check_apic_ids(guest: Guest) -> None:
    with Machine(guest) as machine:
        for vcpu in machine.vcpus:
            calls = MachineCalls(vcpu.fd)
            leaf = next(entry for entry in cpuid.get_own(calls) if entry.leaf == 1)
            calls.close()
            assert leaf.ebx >> 24 == vcpu.index


def test_the_emulator_refuses_to_set_cpuid() -> None:
    from kdash.backends.kvm.engines import EMULATOR, open_machine

    with pytest.raises(KvmError, match="the emulator can't do this: set what CPUID"):
        open_machine(replace(article_guest(), cpuid=(HOST,)), EMULATOR)
