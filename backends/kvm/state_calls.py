"""The calls that look at a machine's state: those of the system, the VM and one VCPU."""

from __future__ import annotations

import os
from typing import Protocol

from kdash.backends.kvm import device, ioctl
from kdash.backends.kvm.capability_names import CAPABILITIES
from kdash.backends.kvm.facts import KvmError


class StateCalls(Protocol):
    """What the readers of state need; tests answer for hosts that lack something."""

    def capability(self, name: str) -> int:
        """What KVM_CHECK_EXTENSION says of KVM_CAP_<name>; 0: not there."""

    def system(self, name: str, data: bytes = b"") -> bytes:
        """An ioctl of /dev/kvm, as `ioctl.call_bytes`."""

    def vcpu(self, name: str, data: bytes = b"") -> bytes:
        """An ioctl of the VCPU, as `ioctl.call_bytes`."""

    def vcpu_msrs(self, data: bytes) -> tuple[int, bytes]:
        """KVM_GET_MSRS of the VCPU on a struct kvm_msrs; how many were read, and it."""

    def feature_msrs(self, data: bytes) -> tuple[int, bytes]:
        """KVM_GET_MSRS of /dev/kvm, as `vcpu_msrs`."""


class MachineCalls:
    """The calls on a real machine.

    Args:
        vcpu: file descriptor of the VCPU; its thread must not be in KVM_RUN.
        path: the KVM device, opened when it is first asked.
    """

    def __init__(self, vcpu: int, path: str = device.DEVICE) -> None:
        self._vcpu = vcpu
        self._path = path
        self._fd = -1

    def capability(self, name: str) -> int:
        """What KVM_CHECK_EXTENSION says of KVM_CAP_<name>; 0: not there."""
        return ioctl.call(self._device(), "KVM_CHECK_EXTENSION", CAPABILITIES[name])

    def system(self, name: str, data: bytes = b"") -> bytes:
        """An ioctl of /dev/kvm."""
        return ioctl.call_bytes(self._device(), name, data)[1]

    def vcpu(self, name: str, data: bytes = b"") -> bytes:
        """An ioctl of the VCPU."""
        return ioctl.call_bytes(self._vcpu, name, data)[1]

    def vcpu_msrs(self, data: bytes) -> tuple[int, bytes]:
        """KVM_GET_MSRS of the VCPU."""
        return ioctl.call_bytes(self._vcpu, "KVM_GET_MSRS", data)

    def feature_msrs(self, data: bytes) -> tuple[int, bytes]:
        """KVM_GET_MSRS of /dev/kvm."""
        return ioctl.call_bytes(self._device(), "KVM_GET_MSRS", data)

    def _device(self) -> int:
        if self._fd < 0:
            self._fd = device.open_node(self._path)
        return self._fd

    def close(self) -> None:
        """Close the device; more than once does no harm."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class Gaps:
    """What could not be read, and why: the rest goes on without it."""

    def __init__(self, calls: StateCalls) -> None:
        self._calls = calls
        self._found: dict[str, str] = {}

    def read(self, part: str, capability: str, name: str) -> bytes | None:
        """The VCPU's answer to the ioctl `name`; None, and a gap, where there is none.

        Args:
            part: what it is, for a person.
            capability: without KVM_CAP_<capability> it is not asked for.
            name: the ioctl.
        """
        try:
            device.require(self._calls.capability(capability), capability, part)
            return self._calls.vcpu(name)
        except KvmError as error:
            self.tell(part, error)
            return None

    def tell(self, part: str, error: KvmError) -> None:
        """Note that `part` is missing."""
        self._found[part] = error.cause

    @property
    def found(self) -> tuple[tuple[str, str], ...]:
        """Parts and reasons, in the order in which they were found."""
        return tuple(self._found.items())
