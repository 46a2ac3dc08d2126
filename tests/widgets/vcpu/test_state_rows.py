"""State read on demand, as rows."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.facts import Registers, Segment
from kdash.backends.kvm.msr_names import msr_name
from kdash.backends.kvm.state_facts import (
    ControlState,
    CpuidEntry,
    CpuidLeaf,
    CpuidState,
    DebugRegisters,
    DescriptorTable,
    DirtyPages,
    ExtendedState,
    KernelExits,
    Msr,
    MsrState,
    PageLevel,
    PageWalk,
    PendingEvents,
    Statistic,
    StatisticsState,
)
from kdash.widgets.vcpu.control_rows import control_rows, event_rows
from kdash.widgets.vcpu.extended_rows import extended_rows
from kdash.widgets.vcpu.msr_rows import BITS, SAID, WHAT, msr_rows
from kdash.widgets.vcpu.numbers import TYPES, elements, x87
from kdash.widgets.vcpu.state_row import StateRow
from kdash.widgets.vcpu.state_rows import cpuid_rows, walk_rows
from kdash.widgets.vcpu.statistics_rows import statistics_rows


def by_name(rows: list[StateRow]) -> dict[str, StateRow]:
    return {row.name: row for row in rows}


CONTROL = ControlState(
    Registers(cr0=0x80050033, cr4=0x220, efer=0x500, rflags=0x3246),
    Segment(selector=0x28, type=11, s=0, limit=0x67),
    Segment(present=0, type=2, s=0),
    DescriptorTable(0x6000, 0x1F),
    DescriptorTable(0x7000, 0xFFF),
    0xFEE00900,
    DebugRegisters((0x1000, 0x2000, 0, 0), 0xFFFF4FF1, 0x0009_0405),
    7,
    3,
    PendingEvents(),
)


def test_the_bits_of_control_registers_are_named() -> None:
    rows = by_name(control_rows(CONTROL))
    assert rows["cr0"].meaning == "PE MP ET NE WP AM PG"
    assert rows["efer"].meaning == "LME LMA"
    assert rows["rflags"].meaning == "IF ZF PF IOPL3"
    assert rows["xcr0"].meaning == "x87 SSE AVX"
    assert rows["apic base"].meaning == "at fee00000 BSP enabled"


def test_debug_registers_say_what_stops_and_what_has_happened() -> None:
    rows = by_name(control_rows(CONTROL))
    assert rows["dr0"].meaning == "write, 8 bytes, hit"
    assert rows["dr1"].meaning == "execute"
    assert rows["dr2"].meaning == "off"
    assert rows["dr6"].meaning == "B0 BS"
    assert rows["dr7"].meaning == "L0 L1"


def test_tables_and_segments_tell_their_hidden_part() -> None:
    rows = by_name(control_rows(CONTROL))
    assert rows["gdtr"].meaning == "limit 1f, 4 entries"
    assert rows["idtr"].meaning == "limit fff, 256 entries"
    assert rows["tr"].meaning == "base 0 limit 67 TSS busy dpl0"
    assert rows["ldtr"].meaning == "base 0 limit ffff LDT dpl0 not present"


def test_the_mp_state_and_that_nothing_waits_are_told() -> None:
    rows = by_name(control_rows(CONTROL))
    assert rows["MP state"].value == "HALTED"
    assert rows["pending"].value == "none"


def test_a_gap_is_a_row_of_its_own() -> None:
    gap = replace(CONTROL, debug=None, unavailable=(("debug registers", "KVM lacks KVM_CAP_X"),))
    rows = by_name(control_rows(gap))
    assert "dr0" not in rows
    assert rows["debug registers"].meaning == "KVM lacks KVM_CAP_X"


def test_pending_events_are_spelled_out() -> None:
    rows = by_name(event_rows(PendingEvents(
        exception_injected=True, exception_vector=14, exception_error_code=2,
        exception_payload=0x1234, interrupt_injected=True, interrupt_vector=0x20,
        interrupt_shadow=2, nmi_pending=True, nmi_masked=True, smi_pending=True,
        sipi_vector=0x9A, triple_fault_pending=True,
    )))  # fmt: skip
    assert rows["exception"].value == "14 injected"
    assert rows["exception"].meaning == "#PF, error code 2, payload 1234"
    assert rows["interrupt"].value == "0x20 injected"
    assert rows["shadow"].meaning == "no interrupt yet: just after STI"
    assert rows["NMI"].value == "pending masked"
    assert rows["SIPI"].meaning == "starts at 9a000"
    assert "triple fault" in rows


# -- x87, SSE, AVX ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("00000000000000c0ff3f", "1.5"), ("0000000000000080ffbf", "-1"),
        ("00000000000000000000", "0"), ("00000000000000000080", "-0"),
        ("0000000000000080ff7f", "inf"), ("0000000000000080ffff", "-inf"),
        ("00000000000000c0ffff", "nan (indefinite)"), ("01000000000000c0ff7f", "nan"),
        ("0100000000000080ff7f", "nan (signalling)"), ("0000000000000040ff3f", "invalid"),
        ("01000000000000000000", "3.645199531882474603e-4951"),
        ("fffffffffffffffffe7f", "1.189731495357231765e+4932"),
        ("35c26821a2da0fc90040", "3.141592653589793239"),
    ],
)  # fmt: skip
def test_x87_registers_are_numbers(data: str, text: str) -> None:
    assert x87(bytes.fromhex(data)) == text


@given(st.floats(allow_nan=False, allow_infinity=False, width=64))
def test_a_double_in_an_x87_register_is_the_same_number(value: float) -> None:
    mantissa, exponent = math.frexp(abs(value))
    significand = int(mantissa * (1 << 64))
    top = exponent - 1 + 16383 if significand else 0
    sign = 0x8000 if math.copysign(1, value) < 0 else 0
    data = struct.pack("<QH", significand, top | sign)
    assert float(x87(data)) == value


@given(st.binary(min_size=10, max_size=10))
def test_any_x87_register_has_a_text(data: bytes) -> None:
    assert x87(data).isprintable()


def test_vector_registers_are_shown_as_any_type() -> None:
    data = struct.pack("<4f", 1.5, 0.1, -2, math.inf)
    assert elements(data, "f32") == ("1.5", "0.1", "-2.0", "inf")
    assert elements(bytes(range(16)), "u8")[:3] == ("00", "01", "02")
    assert elements(bytes(range(16)), "u64") == ("0706050403020100", "0f0e0d0c0b0a0908")
    assert elements(struct.pack("<2d", 0.1, -3), "f64") == ("0.1", "-3.0")


@given(st.sampled_from((16, 32, 64)).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
       st.sampled_from(list(TYPES)))  # fmt: skip
def test_every_type_covers_the_whole_register(data: bytes, form: str) -> None:
    assert len(elements(data, form)) * TYPES[form][0] == len(data)


EXTENDED = ExtendedState(
    "KVM_GET_XSAVE2", 0x37F, 0x3805, 0x80, 0x5E9, 0x1000, 0x2000, 0x1FA1, 0xFFFF,
    (bytes.fromhex("00000000000000c0ff3f"), *(bytes(10),) * 7), (bytes(range(32)),) * 16,
)  # fmt: skip


def test_the_x87_stack_tells_number_physical_register_and_use() -> None:
    rows = by_name(extended_rows(EXTENDED))
    assert rows["st0"].value == "1.5"
    assert rows["st0"].meaning.startswith("r7 3fff c0")
    assert rows["st1"].value == "empty"
    assert rows["control"].meaning == "64 bits, round nearest, all exceptions masked"
    assert rows["status"].meaning == "top 7 IE ZE"
    assert rows["tags"].meaning == "1 of 8 in use"


def test_mxcsr_has_its_bits_named() -> None:
    rows = by_name(extended_rows(EXTENDED))
    assert rows["mxcsr"].meaning == "IE PE, round nearest, all exceptions masked"
    unmasked = by_name(extended_rows(replace(EXTENDED, mxcsr=0xF040 & ~(1 << 9))))
    assert unmasked["mxcsr"].meaning.startswith("DAZ FZ, round to zero, unmasked")


def test_a_vector_register_is_named_by_its_width_and_opens_in_all_types() -> None:
    row = by_name(extended_rows(EXTENDED, "u64"))["ymm3"]
    assert row.value.startswith("0706050403020100 ")
    assert [line.split()[0] for line in row.detail.splitlines()[1:]] == list(TYPES)


def test_what_could_not_be_read_of_vectors_is_told() -> None:
    rows = extended_rows(replace(EXTENDED, mxcsr=None, note="no more than XMM"))
    assert rows[-1].meaning == "no more than XMM"
    assert "mxcsr" not in by_name(rows)


# -- MSRs, CPUID, walk ------------------------------------------------------------------


def test_an_msr_without_a_value_says_that_kvm_refused_it() -> None:
    state = MsrState(
        (Msr(0x10, "IA32_TSC", 5), Msr(0x999, "", None), Msr(0x10A, "ARCH", 0, True)),
        (("feature MSRs", "why"),),
    )
    rows = msr_rows(state)
    assert [(row.part, row.name, row.value) for row in rows] == [
        ("vcpu", "IA32_TSC", f"{5:016x}"), ("vcpu", "-", "-"), ("feature", "ARCH", "0" * 16),
        ("missing", "feature MSRs", "-"),
    ]  # fmt: skip
    assert (rows[1].number, rows[1].meaning) == ("999", "refused by KVM")


@pytest.mark.parametrize(
    ("name", "value", "meaning"),
    [
        ("EFER", 0x500, "extended features: LME LMA"),
        ("IA32_APIC_BASE", 0xFEE00900, "local APIC: fee00000 BSP enabled"),
        ("IA32_PAT", 0x0007_0406_0007_0406,
         "types of PAT0 to PAT7: WB WT UC- UC WB WT UC- UC"),
        ("KVM_STEAL_TIME", 0x1001, "where KVM tells the time taken by others: 1000"),
        ("KVM_STEAL_TIME", 0x1000, "where KVM tells the time taken by others: off"),
        ("IA32_TSC", 7, "time stamp counter"),
        ("IA32_MC0_CTL", 1, ""),
    ],
)  # fmt: skip
def test_an_msr_says_what_it_is_and_what_its_bits_mean(name: str, value: int, meaning: str) -> None:
    (row,) = msr_rows(MsrState((Msr(0x1B, name, value),)))
    assert row.meaning == meaning
    assert row.number == "1b"
    assert row.detail.startswith(f"MSR 1b {name}\n{value:016x}")


def test_every_msr_that_is_explained_has_a_name_in_the_list_of_names() -> None:
    known = {msr_name(number) for first in (0, 0x4B56_4D00, 0xC000_0000, 0xC001_0000)
             for number in range(first, first + 0x1000)}  # fmt: skip
    assert set(WHAT) | set(SAID) | set(BITS) <= known


def test_cpuid_leaves_show_registers_and_what_they_say() -> None:
    entry = CpuidEntry(7, 1, True, 1, 2, 3, 0x80000000)
    leaf = CpuidLeaf(entry, "extended features", "", ("sha512", "x"))
    (row,) = cpuid_rows(CpuidState((leaf,), ()))
    assert (row.part, row.name) == ("vcpu", "7:1")
    assert row.value == "00000001 00000002 00000003 80000000"
    assert row.meaning == "extended features: sha512 x"
    assert "edx 80000000" in row.detail


def test_a_vcpu_whose_cpuid_was_never_set_teaches_how() -> None:
    rows = cpuid_rows(CpuidState((), ()))
    assert rows[0].value == "never set"
    assert "--cpuid host" in rows[0].meaning
    assert cpuid_rows(CpuidState((), (), (("the VCPU's own CPUID", "why"),)))[0].value == "-"


def test_a_walk_shows_every_entry_and_where_it_leads() -> None:
    level = PageLevel("PD", 2, 0x3010, 0x4063, ("P", "RW", "A", "D"), 0x4000)
    rows = walk_rows(PageWalk(0x40_0045, "PAE", (level,), 0x4045, 0x1000, "", ("write",)))
    assert rows[1] == StateRow(
        "walk", "PD[2]", "0000000000004063", "at 3010 P RW A D leads to 4000", ""
    )
    assert rows[-1].value == "4045"
    assert rows[-1].meaning == "4 KiB page, read, write"


def test_a_walk_that_stops_says_why_and_where() -> None:
    level = PageLevel("PT", 1, 0x3008, 0, (), None)
    rows = walk_rows(PageWalk(0x1000, "4-level", (level,), None, 0, "PTE 0x1 is not present"))
    assert rows[1].meaning == "at 3008 not present"
    assert (rows[-1].value, rows[-1].meaning) == ("not mapped", "PTE 0x1 is not present")
    nowhere = PageLevel("PT", 1, 0x3008, None, (), None)
    assert "no memory" in walk_rows(PageWalk(0, "PAE", (nowhere,), None, 0, "x"))[1].meaning


# -- statistics -------------------------------------------------------------------------


def counter(name: str, value: int, kind: str = "cumulative", **fields: Any) -> Statistic:
    wanted = {"unit": "", "exponent": 0, "base": 10, "values": (value,), **fields}
    return Statistic(name, "vcpu 0", kind, **wanted)


def statistics(time: float, *found: Statistic, **fields: Any) -> StatisticsState:
    wanted = {"dirty": DirtyPages((), 512), "exits": KernelExits((), "not here: why"), **fields}
    return StatisticsState(time, found, **wanted)


def test_rates_are_told_between_two_readings() -> None:
    before = statistics(10.0, counter("exits", 100), counter("state", 5, "instant"))
    after = statistics(12.0, counter("exits", 300), counter("state", 9, "instant"))
    rows = by_name(statistics_rows(after, before))
    assert (rows["exits"].value, rows["exits"].meaning) == ("300", "cumulative, 100/s")
    assert rows["state"].meaning == "instant"
    assert by_name(statistics_rows(after))["exits"].meaning == "cumulative"


def test_a_counter_that_went_back_has_no_rate() -> None:
    rows = by_name(
        statistics_rows(statistics(2.0, counter("a", 1)), statistics(1.0, counter("a", 5)))
    )
    assert rows["a"].meaning == "cumulative"


def test_histograms_tell_the_buckets_that_hold_something() -> None:
    log = counter("h", 0, "log hist", values=(1, 0, 0, 7), unit="seconds", exponent=-9)
    linear = counter("l", 0, "linear hist", values=(0, 2), bucket=10)
    rows = by_name(statistics_rows(statistics(1.0, log, linear)))
    assert rows["h"].meaning == "log hist of 4: 0: 1, 4: 7, ns"
    assert rows["l"].meaning == "linear hist of 2: 10: 2"


def test_dirty_pages_are_stretches_of_guest_physical_memory() -> None:
    dirty = DirtyPages((0x1000, 0x2000, 0x9000), 512)
    rows = [row for row in statistics_rows(statistics(1.0, dirty=dirty)) if row.part == "dirty"]
    assert [(row.name, row.value) for row in rows] == [
        ("pages", "3"), ("1000", "2fff"), ("9000", "9fff"),
    ]  # fmt: skip
    assert rows[1].meaning == "2 pages, guest-physical"


def test_exits_in_the_kernel_are_counted_or_say_why_not() -> None:
    rows = by_name(statistics_rows(statistics(1.0)))
    assert rows["in kernel"].meaning == "not here: why"
    before = statistics(1.0, exits=KernelExits((("hlt", 5),)))
    after = statistics(2.0, exits=KernelExits((("hlt", 25),)))
    assert by_name(statistics_rows(after, before))["hlt"].meaning == "20/s"
