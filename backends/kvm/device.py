"""Opening /dev/kvm, with every way it can fail told by cause and remedy."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kdash.backends.kvm import ioctl
from kdash.backends.kvm.capability_names import CAPABILITIES
from kdash.backends.kvm.closing import Closing
from kdash.backends.kvm.facts import KvmError

DEVICE: Final = "/dev/kvm"
API_VERSION: Final = 12  # Documentation/virt/kvm/api.rst, 4.1: anything else is to be refused

#: Capabilities without which nothing works, and what each is needed for.
REQUIRED: Final[dict[str, str]] = {
    "USER_MEMORY": "giving the guest memory",
    "SET_GUEST_DEBUG": "single-stepping",
    "SYNC_REGS": "reading registers without a further call",
    "IMMEDIATE_EXIT": "finishing one access without running on",
}

#: Capabilities used where they are there.
OPTIONAL: Final[dict[str, str]] = {
    "SET_TSS_ADDR": "real mode on Intel processors without unrestricted guests",
    "SET_IDENTITY_MAP_ADDR": "real mode on Intel processors without unrestricted guests",
    "DEBUGREGS": "the view of debug registers",
    "VCPU_EVENTS": "the view of pending events",
    "XSAVE": "AVX registers and MXCSR",
    "BINARY_STATS_FD": "KVM's statistics",
    "INTERNAL_ERROR_DATA": "the bytes of an instruction that KVM can't emulate",
    "READONLY_MEM": "ROM, as of a BIOS",
    "IRQCHIP": "interrupt controllers (--irqchip)",
    "PIT2": "the timer (--irqchip)",
    "MP_STATE": "telling which VCPUs have halted (--irqchip)",
    "IRQFD": "interrupts by devices (--irqchip)",
    "IOEVENTFD": "devices whose writes don't stop a VCPU",
    "COALESCED_MMIO": "devices whose writes are collected",
    "COALESCED_PIO": "devices whose writes to ports are collected",
}

#: KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS (asm/kvm.h).
SYNC_NEEDED: Final = 0b11

Ioctl = Callable[[int, str, int], int]


class Device(Closing):
    """An open /dev/kvm that passed the checks of API version and capabilities.

    Args:
        path: the device node.
        issue: how an ioctl with an integer argument is issued.

    Raises:
        KvmError: when it can't be opened, is no KVM, or lacks what is needed.
    """

    def __init__(self, path: str = DEVICE, issue: Ioctl = ioctl.call) -> None:
        self._issue = issue
        self.path = path
        self.fd = open_node(path)
        try:
            check_version(self.fd, path, issue)
            for name, purpose in REQUIRED.items():
                require(usable(name, self.capability(name)), name, purpose)
            self.run_size = issue(self.fd, "KVM_GET_VCPU_MMAP_SIZE", 0)
        except BaseException:
            self.close()
            raise

    def capability(self, name: str) -> int:
        """What KVM_CHECK_EXTENSION says of KVM_CAP_<name>; 0: not there."""
        return self._issue(self.fd, "KVM_CHECK_EXTENSION", CAPABILITIES[name])

    def create_vm(self) -> int:
        """A new VM's file descriptor, the caller's to close."""
        return self._issue(self.fd, "KVM_CREATE_VM", 0)

    def close(self) -> None:
        """Close the device; more than once does no harm."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def check_version(fd: int, path: str, issue: Ioctl = ioctl.call) -> int:
    """The API version, which is 12.

    Raises:
        KvmError: when it is another one, or `fd` is no KVM device.
    """
    try:
        version = issue(fd, "KVM_GET_API_VERSION", 0)
    except KvmError as error:
        raise KvmError(f"{path}: {error.cause}", error.remedy, error.errno) from None
    if version != API_VERSION:
        raise KvmError(
            f"{path}: KVM API version is {version}, {API_VERSION} is needed",
            "use a kernel with the stable KVM API (Linux 2.6.22 or newer)",
        )
    return version


def usable(name: str, value: int) -> int:
    """The value of a capability, 0 where it lacks what is needed of it."""
    if name == "SYNC_REGS" and value & SYNC_NEEDED != SYNC_NEEDED:
        return 0
    return value


def require(value: int, name: str, purpose: str) -> None:
    """Raise a KvmError naming the capability when its value is 0."""
    if value <= 0:
        raise KvmError(
            f"KVM lacks KVM_CAP_{name}, needed for {purpose}",
            "use a newer kernel; KVM_CAP_IMMEDIATE_EXIT and KVM_CAP_SYNC_REGS came by Linux 4.17",
        )


def open_node(path: str) -> int:
    """Open the device node for reading and writing.

    Raises:
        KvmError: with what stands in the way and what to do.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _open_failure(path, error) from None


def _open_failure(path: str, error: OSError) -> KvmError:
    number = error.errno or 0
    if number in (errno.ENOENT, errno.ENOTDIR):
        return KvmError(f"{path} does not exist", absence_remedy(*_surroundings()), number)
    if number in (errno.EACCES, errno.EPERM):
        cause, remedy = _permission(path)
        return KvmError(cause, remedy, number)
    if number in (errno.ENXIO, errno.ENODEV):
        return KvmError(
            f"{path} is there, but no driver answers ({os.strerror(number)})",
            absence_remedy(*_surroundings()),
            number,
        )
    return KvmError(
        f"{path} can't be opened: {os.strerror(number)}", "check the device node", number
    )


def _surroundings() -> tuple[frozenset[str], bool]:
    """The processor's flags, and whether this looks like a container."""
    flags: frozenset[str] = frozenset()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    for line in text.splitlines():
        if line.startswith("flags"):
            flags = frozenset(line.partition(":")[2].split())
            break
    container = Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
    return flags, container


def absence_remedy(flags: frozenset[str], container: bool) -> str:
    """What to do when the device is absent.

    Args:
        flags: the flags of /proc/cpuinfo; vmx is VT-x, svm AMD-V.
        container: whether the process runs in a container.
    """
    if container:
        return "in a container: start it with --device /dev/kvm (and KVM loaded on the host)"
    if "vmx" in flags:
        return "load the module: sudo modprobe kvm_intel"
    if "svm" in flags:
        return "load the module: sudo modprobe kvm_amd"
    return (
        "the processor shows neither VT-x nor AMD-V: switch virtualisation on in the firmware "
        "(in a VM: nested virtualisation), then sudo modprobe kvm_intel or kvm_amd"
    )


def _permission(path: str) -> tuple[str, str]:
    """Cause and remedy of a refused open, from the node's mode and group."""
    try:
        node = os.stat(path)
    except OSError:
        return f"{path}: permission denied", "check the permissions of the folder it is in"
    owner, group = _owner(node.st_uid), _group(node.st_gid)
    mode = stat.filemode(node.st_mode)
    cause = f"{path}: permission denied ({mode}, owner {owner}, group {group})"
    user = _user()
    if (node.st_mode & 0o060) != 0o060:
        return cause, (
            f"let the group use it: sudo chgrp kvm {path} && sudo chmod 660 {path}, then "
            f"sudo usermod -aG kvm {user} and log in again"
        )
    if node.st_gid == 0:
        return cause, (
            f"give it to the group kvm: sudo chgrp kvm {path}, then "
            f"sudo usermod -aG kvm {user} and log in again"
        )
    if node.st_gid in os.getgroups():
        return cause, "a container or security policy refuses it; allow the device there"
    return cause, f"join its group: sudo usermod -aG {group} {user}, then log in again"


def _owner(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "USER"
