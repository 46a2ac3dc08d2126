"""What watching the generator once a second costs, beside `cat entropy_avail` once a second.

All signals that this user may read are sampled, with the history and its probe in a process of
its own; the aim is below 1 % of one core. The peer is what people type into watch(1).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kdash.backends.entropy.sampler import EntropySampler
from kdash.backends.entropy.signals import SignalReader
from kdash.backends.entropy.vdso import VdsoChild

STARTING = 5  # seconds, which are left out: the first readings start the probe
SECONDS = 30
PEER = ["cat", "/proc/sys/kernel/random/entropy_avail"]
CPUS_PRESENTED = 512


def processor_time(pid: int) -> float:
    """Seconds of one process so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sampled() -> float:
    """The share of a core that the sampler and its probe take."""
    with tempfile.TemporaryDirectory() as folder:
        probe = VdsoChild()
        sampler = EntropySampler(vdso=probe, kept=Path(folder) / "history")
        sampler.start()
        time.sleep(STARTING)
        assert probe.process_id is not None
        begun = time.process_time(), processor_time(probe.process_id)
        time.sleep(SECONDS)
        spent = time.process_time() - begun[0] + processor_time(probe.process_id) - begun[1]
        sampler.stop()
    return spent / SECONDS


def peer() -> float:
    """The share of a core that the peer takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(20):
        subprocess.run(PEER, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 20


def many_cpus() -> float:
    """The share of a core on a presented machine of very many CPUs."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "proc").mkdir()
        line = " ".join(["%10d"] * CPUS_PRESENTED) % tuple(range(CPUS_PRESENTED))
        header = " ".join(f"CPU{cpu}" for cpu in range(CPUS_PRESENTED))
        rows = [header, *(f"{irq}: {line} PCI-MSI {irq}-edge nvme" for irq in range(1500))]
        (Path(folder) / "proc/interrupts").write_text("\n".join(rows))
        reader = SignalReader(folder)
        reader.read()
        begun, start = time.process_time(), time.monotonic()
        while time.monotonic() - start < SECONDS:
            reader.read()
            time.sleep(1.0)
        reader.close()
        return (time.process_time() - begun) / SECONDS


def main() -> None:
    """Print the shares of one core."""
    if not Path(PEER[1]).exists():
        sys.stdout.write("sampling: no /proc/sys/kernel/random here\n")
        return
    print(f"generator sampled once a second: {sampled():.2%} of a core (aim: below 1 %)")
    print(f"  {CPUS_PRESENTED} CPUs, 1500 interrupt lines: {many_cpus():.2%} of a core")
    print(f"  peer, cat entropy_avail once a second: {peer():.2%}, one number of them all")


if __name__ == "__main__":
    main()
