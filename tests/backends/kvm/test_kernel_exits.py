"""In-kernel exits: names, the histogram, and a tracefs made of files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.kernel_exit_names import SVM, VMX, exit_name
from kdash.backends.kvm.kernel_exits import (
    EVENT,
    TRIGGER,
    ExitTrace,
    NotHereError,
    find_root,
    parse_histogram,
)

HISTOGRAM = """\
# event histogram
#
# trigger info: hist:keys=isa,exit_reason:vals=hitcount:sort=hitcount:size=2048 [active]
#

{ isa:          1, exit_reason:         12 } hitcount:          3
{ isa:          1, exit_reason:         30 } hitcount:      12345

Totals:
    Hits: 12348
    Entries: 2
    Dropped: 0
"""


class FileTrace(ExitTrace):
    """A trace instance whose files are plain ones, as the kernel makes them."""

    def _make(self, instance: Path) -> None:
        instance.mkdir()
        (instance / EVENT).mkdir(parents=True)
        (instance / EVENT / "hist").write_text(HISTOGRAM)
        (instance / "options").mkdir()

    def _remove(self, instance: Path) -> None:
        shutil.rmtree(instance)


@pytest.fixture
def tracefs(tmp_path: Path) -> Path:
    (tmp_path / EVENT).mkdir(parents=True)
    (tmp_path / EVENT / "id").write_text("1")
    (tmp_path / "instances").mkdir()
    return tmp_path


def test_the_histogram_is_told_by_names_most_frequent_first() -> None:
    assert parse_histogram(HISTOGRAM) == (("IO_INSTRUCTION", 12345), ("HLT", 3))


@given(st.text(max_size=200))
def test_any_text_gives_counts_or_nothing(text: str) -> None:
    assert all(count >= 0 for _, count in parse_histogram(text))


@pytest.mark.parametrize(
    ("isa", "reason", "name"),
    [
        (VMX, 48, "EPT_VIOLATION"), (VMX, 0x8000_0021, "INVALID_STATE at entry"),
        (VMX, 999, "999"), (SVM, 0x78, "hlt"), (SVM, 0x400, "npf"), (SVM, 0x4E, "excp 14"),
        (SVM, 0x10, "write_cr0"), (SVM, 0x999, "0x999"), (7, 5, "isa 7: 0x5"),
    ],
)  # fmt: skip
def test_reasons_are_named_as_the_kernel_names_them(isa: int, reason: int, name: str) -> None:
    assert exit_name(isa, reason) == name


def test_a_trace_is_limited_to_our_threads_and_removed_at_close(tracefs: Path) -> None:
    trace = FileTrace(tracefs)
    (instance,) = (tracefs / "instances").iterdir()
    assert instance.name.startswith(f"kdash-{os.getpid()}-")
    assert str(os.getpid()) in (instance / "set_event_pid").read_text().split()
    assert (instance / "options/event-fork").read_text() == "1"
    assert (instance / EVENT / "trigger").read_text() == TRIGGER
    assert trace.read().counts[0] == ("IO_INSTRUCTION", 12345)
    trace.close()
    trace.close()
    assert list((tracefs / "instances").iterdir()) == []
    assert trace.read().unavailable


def test_without_the_tracepoint_it_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(NotHereError, match=r"not here: .* tracepoint kvm:kvm_exit"):
        find_root([tmp_path, tmp_path / "nothing"])


def test_a_kernel_without_histograms_leaves_nothing_behind(tracefs: Path) -> None:
    class Refusing(FileTrace):
        def _arm(self, instance: Path) -> None:
            raise OSError(22, "Invalid argument")

    with pytest.raises(NotHereError, match="CONFIG_HIST_TRIGGERS"):
        Refusing(tracefs)
    assert list((tracefs / "instances").iterdir()) == []


def test_what_may_not_be_made_needs_root(tracefs: Path) -> None:
    class Forbidden(FileTrace):
        def _make(self, instance: Path) -> None:
            raise PermissionError(13, "Permission denied")

    with pytest.raises(NotHereError, match="needs root"):
        Forbidden(tracefs)


def test_a_real_trace_leaves_no_instance_or_says_why_there_is_none() -> None:
    try:
        trace = ExitTrace()
    except NotHereError as why:
        assert str(why).startswith(("needs root", "not here"))
        return
    trace.close()
    instances = find_root() / "instances"
    assert not [one for one in instances.iterdir() if one.name.startswith(f"kdash-{os.getpid()}-")]
