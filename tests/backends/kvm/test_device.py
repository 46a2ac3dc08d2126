"""Everything that can stand between us and /dev/kvm, told with cause and remedy."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from kdash.backends.kvm import ioctl
from kdash.backends.kvm.device import Device, absence_remedy, open_node
from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.guests import article_guest
from kdash.backends.kvm.machine import Machine

NOBODY = 65534


def failure_of(work: Callable[[], object]) -> KvmError:
    with pytest.raises(KvmError) as caught:
        work()
    return caught.value


def as_nobody(work: Callable[[], object]) -> str:
    """What a KvmError says when `work` is done by a user without rights."""
    if os.geteuid() != 0:
        return str(failure_of(work))
    for needed in ("getpass", "grp", "pwd"):
        import_module(needed)  # nobody may not be able to read our Python
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            work()
            os.write(writer, b"no error")
        except KvmError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read().decode()
    os.waitpid(child, 0)
    return told


@pytest.fixture
def node(public_path: Path) -> Path:
    """A file in a place that everyone can reach."""
    path = public_path / "kvm"
    path.write_bytes(b"")
    return path


def test_an_absent_device_is_told_with_what_to_do(tmp_path: Path) -> None:
    error = failure_of(lambda: Device(str(tmp_path / "kvm")))
    assert error.cause == f"{tmp_path}/kvm does not exist"
    assert "modprobe" in error.remedy or "--device /dev/kvm" in error.remedy
    assert error.errno == errno.ENOENT


@pytest.mark.parametrize(
    ("flags", "container", "remedy"),
    [
        ({"vmx"}, False, "modprobe kvm_intel"),
        ({"svm"}, False, "modprobe kvm_amd"),
        ({"sse2"}, False, "nested virtualisation"),
        ({"vmx"}, True, "--device /dev/kvm"),
    ],
)
def test_the_remedy_of_absence_fits_the_machine(
    flags: set[str], container: bool, remedy: str
) -> None:
    assert remedy in absence_remedy(frozenset(flags), container)


def test_a_node_closed_to_everybody_is_told_with_mode_owner_and_group(node: Path) -> None:
    node.chmod(0)
    told = as_nobody(lambda: Device(str(node)))
    assert f"{node}: permission denied (----------, owner " in told
    assert f"sudo chmod 660 {node}" in told
    assert "sudo usermod -aG kvm" in told


@pytest.mark.root
def test_a_node_of_another_group_is_told_with_that_group(node: Path) -> None:
    os.chown(node, 0, 54321)
    node.chmod(0o660)
    told = as_nobody(lambda: Device(str(node)))
    assert "(-rw-rw----, owner root, group 54321)" in told
    assert "sudo usermod -aG 54321 " in told


@pytest.mark.root
def test_a_node_of_the_group_root_is_not_to_be_joined(node: Path) -> None:
    os.chown(node, 0, 0)
    node.chmod(0o660)
    told = as_nobody(lambda: Device(str(node)))
    assert "sudo chgrp kvm" in told
    assert "-aG root" not in told


def test_a_node_in_a_closed_folder_is_told(node: Path) -> None:
    node.parent.chmod(0)
    told = as_nobody(lambda: Device(str(node)))
    node.parent.chmod(0o755)
    assert "permissions of the folder" in told


def test_a_regular_file_is_no_kvm(node: Path) -> None:
    error = failure_of(lambda: Device(str(node)))
    assert error.cause.startswith(f"{node}: KVM_GET_API_VERSION failed: Inappropriate ioctl")
    assert error.errno == errno.ENOTTY


def answering(answers: dict[str, int], capabilities: int = 3) -> Callable[[int, str, int], int]:
    """An ioctl that answers like a KVM of another kernel."""

    def issue(fd: int, name: str, argument: int) -> int:
        if name == "KVM_CHECK_EXTENSION":
            return answers.get(f"cap {argument}", capabilities)
        return answers[name]

    return issue


def test_another_api_version_is_refused(node: Path) -> None:
    issue = answering({"KVM_GET_API_VERSION": 11})
    error = failure_of(lambda: Device(str(node), issue))
    assert error.cause == f"{node}: KVM API version is 11, 12 is needed"


@pytest.mark.parametrize(
    ("number", "name"),
    [(3, "USER_MEMORY"), (23, "SET_GUEST_DEBUG"), (74, "SYNC_REGS"), (136, "IMMEDIATE_EXIT")],
)
def test_a_missing_capability_is_named(node: Path, number: int, name: str) -> None:
    issue = answering({"KVM_GET_API_VERSION": 12, f"cap {number}": 0})
    error = failure_of(lambda: Device(str(node), issue))
    assert f"KVM_CAP_{name}" in error.cause


def test_sync_regs_without_the_special_registers_is_not_enough(node: Path) -> None:
    issue = answering({"KVM_GET_API_VERSION": 12, "cap 74": 1})
    error = failure_of(lambda: Device(str(node), issue))
    assert "KVM_CAP_SYNC_REGS" in error.cause


def test_a_device_that_fails_its_checks_is_closed(node: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    failure_of(lambda: Device(str(node)))
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_failing_ioctl_is_named_with_its_errno(node: Path) -> None:
    fd = open_node(str(node))
    try:
        error = failure_of(lambda: ioctl.call(fd, "KVM_CREATE_VCPU", 0))
    finally:
        os.close(fd)
    assert error.cause == "KVM_CREATE_VCPU failed: Inappropriate ioctl for device (ENOTTY)"
    assert error.remedy


def test_an_ioctl_on_a_closed_descriptor_is_told() -> None:
    assert failure_of(lambda: ioctl.call(-1, "KVM_CREATE_VM")).errno == errno.EBADF


@pytest.mark.kvm
def test_a_second_vcpu_of_the_same_number_is_told() -> None:
    with Device() as device:
        vm = device.create_vm()
        try:
            vcpu = ioctl.call(vm, "KVM_CREATE_VCPU", 0)
            error = failure_of(lambda: ioctl.call(vm, "KVM_CREATE_VCPU", 0))
            os.close(vcpu)
        finally:
            os.close(vm)
    assert error.cause == "KVM_CREATE_VCPU failed: File exists (EEXIST)"


@pytest.mark.kvm
def test_more_memory_than_the_host_gives_is_told() -> None:
    guest = replace(article_guest(), memory=1 << 31)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 28), limits[1]))
    try:
        error = failure_of(lambda: Machine(guest))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert "2 GiB of memory for the guest can't be had" in error.cause
    assert "--memory" in error.remedy
