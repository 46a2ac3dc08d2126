"""What /dev/kvm can do: every capability by name, and the probe for `kdash doctor`."""

from __future__ import annotations

import os

from kdash.backends.kvm import device, ioctl
from kdash.backends.kvm.capability_names import CAPABILITIES
from kdash.backends.kvm.facts import Capability, KvmError, Probe


def list_capabilities(path: str = device.DEVICE) -> tuple[Capability, ...]:
    """Ask for every known capability.

    Raises:
        KvmError: when the device can't be opened or is no KVM.
    """
    fd = device.open_node(path)
    try:
        device.check_version(fd, path)
        return tuple(
            Capability(f"KVM_CAP_{name}", number, check(fd, number))
            for name, number in CAPABILITIES.items()
        )
    finally:
        os.close(fd)


def check(fd: int, number: int) -> int:
    """KVM_CHECK_EXTENSION of one capability number, read as the int it is."""
    return ioctl.call(fd, "KVM_CHECK_EXTENSION", number)


def probe_kvm(path: str = device.DEVICE) -> tuple[Probe, ...]:
    """Look at everything the VCPU pane needs of KVM; stops where nothing more can be seen."""
    try:
        fd = device.open_node(path)
    except KvmError as error:
        return (Probe(path, "failed", error.cause, error.remedy),)
    try:
        return (Probe(path, "ok", "opens for reading and writing"), *_probe_open(fd, path))
    finally:
        os.close(fd)


def _probe_open(fd: int, path: str) -> tuple[Probe, ...]:
    try:
        version = device.check_version(fd, path)
    except KvmError as error:
        return (Probe("KVM API version", "failed", error.cause, error.remedy),)
    probes = [Probe("KVM API version", "ok", str(version))]
    probes += [_probe_capability(fd, name, why, "failed") for name, why in device.REQUIRED.items()]
    probes += [_probe_capability(fd, name, why, "warning") for name, why in device.OPTIONAL.items()]
    probes.append(_probe_creation(fd))
    return tuple(probes)


def _probe_capability(fd: int, name: str, purpose: str, verdict: str) -> Probe:
    value = device.usable(name, check(fd, CAPABILITIES[name]))
    if value > 0:
        return Probe(f"KVM_CAP_{name}", "ok", f"{value:#x}, for {purpose}")
    return Probe(f"KVM_CAP_{name}", verdict, f"missing, for {purpose}", "use a newer kernel")


def _probe_creation(fd: int) -> Probe:
    try:
        vm = ioctl.call(fd, "KVM_CREATE_VM")
    except KvmError as error:
        return Probe("KVM_CREATE_VM", "failed", error.cause, error.remedy)
    os.close(vm)
    return Probe("KVM_CREATE_VM", "ok", "a VM can be created")
