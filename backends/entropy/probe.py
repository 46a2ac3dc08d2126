"""Which signals of the generator can be had on this machine, and what would make the rest work.

Nothing is changed: tracefs is not mounted, no permission is asked for; the commands are told.
"""

from __future__ import annotations

import os
from pathlib import Path

from kdash.backends.entropy.facts import Probe, Reading
from kdash.backends.entropy.hwrng import NONE
from kdash.backends.entropy.interrupts import parse_interrupts
from kdash.backends.entropy.procfs import NOT_ON_THIS_KERNEL, Root, Unavailable, reason
from kdash.backends.entropy.sampler import default_vdso
from kdash.backends.entropy.signals import SignalReader
from kdash.backends.entropy.system import LiveSystem, System
from kdash.backends.entropy.vdso import VdsoSource

TRACING = "sys/kernel/tracing"
MOUNT_TRACEFS = "mount -t tracefs nodev /sys/kernel/tracing   (as root)"


def probe_entropy(
    root: str | Path = "/", *, system: System | None = None, vdso: VdsoSource | None = None
) -> tuple[Probe, ...]:
    """Look at each signal once.

    Args:
        root: The folder that holds /proc, /sys and /dev.
        system: Who answers the system calls; the running kernel by default.
        vdso: Who tells the reseed generation; a child process by default.
    """
    folder = Root(root)
    system = system or LiveSystem(root)
    reader = SignalReader(root, system, vdso or default_vdso(root))
    try:
        reading = reader.read()
    finally:
        reader.close()
    return (
        _number(reading),
        _ready(reading),
        _reseed(reading),
        _latency(reading),
        _hardware(reading),
        _interrupts(folder),
        _raw_source(folder, system),
        _tracefs(folder),
        _kernel_log(folder),
    )


def _number(reading: Reading) -> Probe:
    name = "entropy_avail"
    if reading.entropy_avail is None:
        why = reading.unavailable.get(name, "can't be read")
        # getrandom alone still tells whether the generator is seeded.
        verdict = "failed" if reading.ready is None else "warning"
        return Probe(name, verdict, why, "mount /proc: mount -t proc proc /proc   (as root)")
    size = f" of {reading.poolsize}" if reading.poolsize is not None else ""
    return Probe(name, "ok", f"{reading.entropy_avail}{size} bits, era {reading.era.value}")


def _ready(reading: Reading) -> Probe:
    if reading.ready:
        return Probe("getrandom", "ok", "seeded: answers at once")
    if reading.ready is None:
        why = reading.unavailable.get("ready", "can't be asked")
        return Probe("getrandom", "warning", why)
    remedy = "wait for boot to end, or give the machine a hardware source such as virtio-rng"
    return Probe("getrandom", "warning", "not seeded: callers wait", remedy)


def _reseed(reading: Reading) -> Probe:
    name = "reseed clock"
    if reading.reseed is not None:
        return Probe(name, "ok", f"generation {reading.reseed.generation}, through the vDSO")
    why = reading.unavailable.get("reseed", "not available")
    remedy = "Linux 6.11 on shows it; nothing else is needed" if why == NOT_ON_THIS_KERNEL else ""
    return Probe(name, "warning", why, remedy)


def _latency(reading: Reading) -> Probe:
    name = "getrandom latency"
    if reading.latency is not None and reading.latency.syscall is not None:
        return Probe(name, "ok", f"{reading.latency.syscall.p50_ns} ns a system call")
    why = reading.unavailable.get("getrandom", "not available")
    remedy = "build it: make" if "not built" in why else ""
    return Probe(name, "warning", why, remedy)


def _hardware(reading: Reading) -> Probe:
    name = "hardware source"
    source = reading.hwrng
    if source is None:
        why = reading.unavailable.get("hwrng", "can't be read")
        return Probe(name, "warning", why, "modprobe the driver of one, if there is one (as root)")
    if source.current == NONE:
        remedy = (
            f"echo {source.available[0]} > /sys/class/misc/hw_random/rng_current   (as root)"
            if source.available
            else "on a virtual machine: add a virtio-rng device"
        )
        return Probe(name, "warning", "none in use", remedy)
    quality = "" if source.quality is None else f", quality {source.quality} of 1024"
    return Probe(name, "ok", f"{source.current}{quality}")


def _interrupts(root: Root) -> Probe:
    try:
        counts = parse_interrupts(root.interrupts())
    except Unavailable as error:
        return Probe("interrupts", "warning", f"/proc/interrupts: {error}")
    if not counts.lines:
        return Probe("interrupts", "warning", "/proc/interrupts lists no device interrupt")
    detail = f"{counts.lines} lines that feed the generator, {len(counts.per_cpu)} CPUs"
    return Probe("interrupts", "ok", detail)


def _raw_source(root: Root, system: System) -> Probe:
    name = "/dev/hwrng"
    if not root.exists("dev/hwrng"):
        return Probe(name, "warning", "there is none", "needs a hardware source")
    if system.readable(root.path("dev/hwrng")):
        return Probe(name, "ok", "may be read; kdash entropy --hwrng measures it")
    return Probe(name, "warning", "needs root", "run kdash as root to measure the raw source")


def _tracefs(root: Root) -> Probe:
    name = "tracefs"
    if not root.exists(TRACING):
        return Probe(name, "warning", "not on this kernel", "a kernel with CONFIG_FTRACE has it")
    try:
        mounted = any(root.path(TRACING).iterdir())
    except OSError as error:
        return Probe(name, "warning", reason(error), "run kdash as root to see single events")
    if not mounted:
        return Probe(name, "warning", "not mounted: no single events", MOUNT_TRACEFS)
    has_random = root.exists(f"{TRACING}/events/random")
    return Probe(name, "ok", "random:* events" if has_random else "interrupt and block events")


def _opens(path: Path) -> bool:
    """Whether it can be read: the kernel refuses /dev/kmsg whatever its mode says."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _kernel_log(root: Root) -> Probe:
    name = "kernel log"
    try:
        restricted = root.integer("proc/sys/kernel/dmesg_restrict") != 0
    except Unavailable:
        restricted = False
    if restricted and not _opens(root.path("dev/kmsg")):
        remedy = "run kdash as root, or: sysctl kernel.dmesg_restrict=0   (as root)"
        return Probe(name, "warning", "kept from users: when it was seeded stays unknown", remedy)
    return Probe(name, "ok", "may be read: it tells when the generator was seeded")
