"""What the figures were taken on: processor, kernel, hypervisor, versions. No names of hosts."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("kdash", "textual", "numpy", "iced-x86", "unicorn", "pyelftools", "prometheus-client")
#: Programs that figures are compared with, by what tells their version.
PROGRAMS = {
    "gcc": ["gcc", "--version"],
    "gdb": ["gdb", "--version"],
    "QEMU": ["qemu-system-x86_64", "--version"],
    "rngtest": ["rngtest", "--version"],
}
KVM_MODULES = ("kvm_intel", "kvm_amd", "kvm_pvm")


def machine_facts() -> dict[str, str]:
    """Name and value of each fact, in the order they are shown."""
    facts = {
        "processor": _cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"Linux {platform.release()} {platform.machine()}",
        "KVM": _kvm(),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
    }
    for name in PACKAGES:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            continue
    return facts | {name: found for name in PROGRAMS if (found := _program(name))}


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _kvm() -> str:
    if not Path("/dev/kvm").exists():
        return "no /dev/kvm"
    found = [name for name in KVM_MODULES if Path("/sys/module", name).exists()]
    return " ".join(found) or "built in"


def _program(name: str) -> str:
    command = PROGRAMS[name]
    if not shutil.which(command[0]):
        return ""
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return ""
    return next(iter((told.stdout or told.stderr).splitlines()), "")
