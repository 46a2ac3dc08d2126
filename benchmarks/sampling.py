"""What watching the generator once a second costs, beside `cat entropy_avail` once a second.

All signals that this user may read are sampled, with the history and its probe in a process of
its own; the aim is below 1 % of one core. The peer is what people type into watch(1).
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measurement import Aim, Measurement, tell

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


def sampled(seconds: float) -> float:
    """The share of a core that the sampler and its probe take."""
    with tempfile.TemporaryDirectory() as folder:
        probe = VdsoChild()
        sampler = EntropySampler(vdso=probe, kept=Path(folder) / "history")
        sampler.start()
        try:
            time.sleep(STARTING)
            assert probe.process_id is not None
            begun = time.process_time(), processor_time(probe.process_id)
            time.sleep(seconds)
            spent = time.process_time() - begun[0] + processor_time(probe.process_id) - begun[1]
        finally:
            sampler.stop()
    return spent / seconds


def peer() -> float:
    """The share of a core that the peer takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(20):
        subprocess.run(PEER, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 20


def many_cpus(seconds: float) -> float:
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
        while time.monotonic() - start < seconds:
            reader.read()
            time.sleep(1.0)
        reader.close()
        return (time.process_time() - begun) / seconds


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """The shares of one core, in percent."""
    if not Path(PEER[1]).exists():
        yield Measurement("sampling", missing="no /proc/sys/kernel/random here")
        return
    seconds = SECONDS if full else SECONDS / 2
    yield Measurement(
        "every signal of the generator, once a second", (100 * sampled(seconds),), "% of a core",
        "cat entropy_avail", (100 * peer(),), Aim(1),
    )  # fmt: skip
    if not full:
        return
    subject = f"signals of a machine of {CPUS_PRESENTED} CPUs, once a second"
    yield Measurement(subject, (100 * many_cpus(seconds),), "% of a core", aim=Aim(1))


if __name__ == "__main__":
    tell(measure(full=True))
