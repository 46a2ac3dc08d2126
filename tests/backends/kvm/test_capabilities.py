"""Capabilities by name, and the probe that the doctor shows."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from kdash.backends.kvm.capabilities import list_capabilities, probe_kvm
from kdash.backends.kvm.capability_names import CAPABILITIES
from kdash.backends.kvm.exit_reasons import SENTENCES, exit_name, exit_sentence
from kdash.backends.kvm.facts import ExitReason

HEADER = Path("/usr/include/linux/kvm.h")
needs_header = pytest.mark.skipif(not HEADER.exists(), reason="linux/kvm.h is not installed")


def defined(prefix: str) -> dict[str, int]:
    """#defines of the header with a plain number."""
    pattern = rf"^#define {prefix}([A-Z0-9_]+)\s+(\d+)"
    return {n: int(v) for n, v in re.findall(pattern, HEADER.read_text(), re.M)}


@needs_header
def test_every_capability_of_the_header_is_known_by_the_same_number() -> None:
    header = {name: value for name, value in defined("KVM_CAP_").items() if value <= 246}
    assert header
    assert {name: CAPABILITIES.get(name) for name in header} == header


@needs_header
def test_every_exit_reason_of_the_header_is_known_by_the_same_number() -> None:
    flags = {"IO_IN", "IO_OUT"}  # members of a group, not reasons
    header = {
        name: value
        for name, value in defined("KVM_EXIT_").items()
        if name not in flags and not name.startswith(("HYPERV_", "XEN_")) and value <= 41
    }
    assert header
    assert {name: ExitReason[name].value for name in header} == header


def test_no_capability_number_is_used_twice() -> None:
    assert len(set(CAPABILITIES.values())) == len(CAPABILITIES)


def test_every_exit_reason_has_a_name_and_a_sentence() -> None:
    assert set(SENTENCES) == set(ExitReason)
    assert len(set(SENTENCES.values())) == len(SENTENCES)


def test_an_exit_reason_of_the_future_has_a_name_too() -> None:
    assert exit_name(4242) == "EXIT_4242"
    assert "newer" in exit_sentence(4242)


@pytest.mark.kvm
def test_the_live_values_are_listed_by_name() -> None:
    found = {one.name: one.value for one in list_capabilities()}
    assert found["KVM_CAP_USER_MEMORY"] == 1
    assert found["KVM_CAP_NR_MEMSLOTS"] > 32
    assert found["KVM_CAP_SYNC_REGS"] & 3 == 3
    assert found["KVM_CAP_S390_PSW"] == 0


@pytest.mark.kvm
def test_the_probe_finds_nothing_failed_where_kvm_works() -> None:
    probes = probe_kvm()
    assert {probe.verdict for probe in probes} <= {"ok", "warning"}
    assert [probe.name for probe in probes][:3] == [
        "/dev/kvm",
        "KVM API version",
        "KVM_CAP_USER_MEMORY",
    ]


@pytest.mark.kvm
def test_the_probe_leaves_nothing_open() -> None:
    before = set(os.listdir("/proc/self/fd"))
    probe_kvm()
    assert set(os.listdir("/proc/self/fd")) == before


def test_the_probe_of_an_absent_device_says_what_to_do(tmp_path: Path) -> None:
    (probe,) = probe_kvm(str(tmp_path / "kvm"))
    assert probe.verdict == "failed"
    assert probe.detail == f"{tmp_path}/kvm does not exist"
    assert probe.remedy


def test_the_probe_of_another_file_ends_with_the_api_version(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch()
    probes = probe_kvm(str(tmp_path / "kvm"))
    assert [probe.verdict for probe in probes] == ["ok", "failed"]
    assert "ENOTTY" in probes[1].detail
