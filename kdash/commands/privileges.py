"""What needs more than an ordinary user has, why, and what happens without it."""

from __future__ import annotations

from typing import NamedTuple


class Privilege(NamedTuple):
    """One feature."""

    feature: str
    needs: str
    why: str
    without: str


#: Everything that is not here works for any user.
PRIVILEGES = (
    Privilege(
        "guests on KVM", "read and write /dev/kvm (group kvm)",
        "machines are made by its ioctls", "the emulator runs them, labelled EMULATED",
    ),
    Privilege(
        "in-kernel exits by reason", "root, tracefs",
        "told by the tracepoint kvm_exit alone", "the view says so; other exits are told",
    ),
    Privilege(
        "stack livepatch: tasks inside", "root",
        "/proc/PID/task/TID/stack is root's", "tasks that can't be read are counted and named",
    ),
    Privilege(
        "rate and tests of the hardware source", "root",
        "/dev/hwrng is root's", "its name and quality are still told",
    ),
    Privilege(
        "who calls getrandom, random:* events, traced feed", "root, tracefs",
        "a trace instance is made for it, and removed", "counters feed the model; the rest is told",
    ),
    Privilege(
        "what the kernel logs of its generator", "root, or kernel.dmesg_restrict=0",
        "/dev/kmsg is read", "told as needs root; forks show by the reseed clock",
    ),
    Privilege(
        "who of other users holds the devices", "root",
        "/proc/PID/fd is its user's", "hidden processes are counted",
    ),
)  # fmt: skip
