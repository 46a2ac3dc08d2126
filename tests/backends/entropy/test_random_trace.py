"""The tracepoints random:* of kernels 3.6 to 5.17, as their trace prints them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.facts import PoolTraffic
from kdash.backends.entropy.procfs import Root, Unavailable
from kdash.backends.entropy.random_trace import MOST_POOLS, RandomTrace, random_events_of

from .conftest import Present

HEAD = b"          <idle>-0       [001] d.h1.  806.221534: "
SINCE_4 = [
    HEAD + text
    for text in (
        b"mix_pool_bytes: input pool: bytes 16 caller add_interrupt_randomness+0x16b/0x1d0",
        b"credit_entropy_bits: input pool: bits 1 entropy_count 897 entropy_total 129 caller f+0x1",
        b"push_to_pool: nonblocking: pool_bits 48 input_pool_bits 833",
        b"debit_entropy: input: debit_bits 64",
        b"extract_entropy: input pool: nbytes 8 entropy_count 833 caller _xfer+0x1",
        b"xfer_secondary_pool: pool blocking xfer_bits 128 request_bits 64 pool_entropy 0 x 1",
        b"urandom_read: got_bits 128 nonblocking_pool_entropy_left 0 input_entropy_left 833",
        b"sched_switch: input pool: bits 5",
    )
]
SINCE_3 = [
    HEAD + b"credit_entropy_bits: pool input bits 7 entropy_count 8 entropy_total 9 caller f"
]


def test_credits_debits_and_spills_are_added_up_by_pool() -> None:
    found = random_events_of(SINCE_4 * 2)
    assert dict(found.counts)["debit_entropy"] == 2
    assert sum(count for _, count in found.counts) == 14
    assert found.pools == (
        PoolTraffic("blocking", pulled=256),
        PoolTraffic("input", credited=2, debited=128, mixed=32, extracted=16),
        PoolTraffic("nonblocking", pushes=2),
    )


def test_the_words_of_the_first_kernels_with_tracepoints_are_known() -> None:
    assert random_events_of(SINCE_3).pools == (PoolTraffic("input", credited=7),)


@given(st.lists(st.binary(max_size=60)))
def test_any_lines_are_read(lines: list[bytes]) -> None:
    found = random_events_of([*(SINCE_4[1][:60] + line for line in lines), *lines])
    assert len(found.pools) <= MOST_POOLS


def presented(root: Path, tracing: str) -> Path:
    """A tracefs with the events of an old kernel, and a trace in the instance to be."""
    folder = root / tracing
    instance = folder / f"instances/kdash-{os.getpid()}-random"
    for base in (folder, instance):
        for event in ("credit_entropy_bits", "debit_entropy", "push_to_pool", "prandom_u32"):
            (base / "events/random" / event).mkdir(parents=True)
            (base / "events/random" / event / "enable").write_text("0")
    for name in ("buffer_size_kb", "trace_clock", "events/enable"):
        (instance / name).write_text("")
    (instance / "trace_pipe").write_bytes(b"\n".join(SINCE_4) + b"\n")
    return instance


@pytest.mark.parametrize("tracing", ["sys/kernel/tracing", "sys/kernel/debug/tracing"])
def test_an_old_kernels_events_are_read_when_asked_for(present: Present, tracing: str) -> None:
    machine = present("old")
    instance = presented(machine.folder, tracing)
    reader = machine.reader()
    assert reader.read().unavailable["random_events"].startswith("on request: kdash entropy ")
    reader.on_request.trace_random_events()
    enabled = {path.parent.name for path in instance.rglob("enable") if path.read_text() == "1"}
    assert enabled == {"credit_entropy_bits", "debit_entropy", "push_to_pool"}
    traced = reader.read().random_events
    assert traced is not None
    assert [pool.name for pool in traced.pools] == ["blocking", "input", "nonblocking"]
    reader.close()
    assert (instance / "events/enable").read_text() == "0"


def test_a_kernel_without_these_events_says_so(tmp_path: Path) -> None:
    (tmp_path / "sys/kernel/tracing/events/irq").mkdir(parents=True)
    (tmp_path / "sys/kernel/tracing/instances").mkdir()
    with pytest.raises(Unavailable, match="not on this kernel"):
        RandomTrace(Root(tmp_path)).start()
