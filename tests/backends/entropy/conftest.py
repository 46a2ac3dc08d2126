"""Presents other machines: a folder with /proc and /sys, and answers to the system calls."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kdash.backends.entropy.facts import GetrandomLatency, Percentiles, Reading
from kdash.backends.entropy.procfs import Unavailable
from kdash.backends.entropy.signals import SignalReader
from kdash.backends.entropy.vdso import VdsoFacts

RANDOM = "proc/sys/kernel/random"
HWRNG = "sys/devices/virtual/misc/hw_random"
BOOT_ID = "0f2d37a8-6f0e-4a79-9a4f-3c6b7f2f8a01"
LATENCY = GetrandomLatency(Percentiles(400, 600))
INTERRUPTS = """\
           CPU0       CPU1
  1:          9          0   IO-APIC   1-edge      i8042
 24:        100         20   PCI-MSI   0-edge      nvme0q1
LOC:      16840      25234   Local timer interrupts
ERR:          0
"""


@dataclass
class PresentedSystem:
    """A kernel's answers, and what it was asked."""

    seeded: bool = True
    getrandom_error: int = 0  # errno of every getrandom
    insecure: bool = True  # GRND_INSECURE is known
    poll_mask: int = 0x41
    poll_error: int = 0
    random_device: tuple[int, int] | None = (1, 8)
    readable_files: bool = False
    now: float = 100.0
    asked: list[tuple[int, int]] = field(default_factory=list)
    polled: int = 0
    count: int | None = None  # what RNDGETENTCNT tells
    messages: list[bytes] = field(default_factory=list)  # object events to hand out
    closed: bool = False

    def getrandom(self, nbytes: int, flags: int) -> int:
        self.asked.append((nbytes, flags))
        if self.getrandom_error:
            raise OSError(self.getrandom_error, "presented")
        if flags & 4 and not self.insecure:
            raise OSError(errno.EINVAL, "presented")
        if flags & 1 and not self.seeded:
            raise BlockingIOError(errno.EAGAIN, "presented")
        return nbytes

    def poll_random(self) -> int:
        self.polled += 1
        if self.poll_error:
            raise OSError(self.poll_error, "presented")
        return self.poll_mask

    def entropy_count(self) -> int:
        if self.count is None:
            raise OSError(errno.ENOTTY, "presented")
        return self.count

    def device(self, path: Path) -> tuple[int, int]:
        if self.random_device is None:
            raise FileNotFoundError(errno.ENOENT, "presented")
        return self.random_device

    def readable(self, path: Path) -> bool:
        return self.readable_files

    def monotonic(self) -> float:
        return self.now

    def uevents(self) -> tuple[bytes, ...]:
        messages, self.messages = tuple(self.messages), []
        return messages

    def close(self) -> None:
        self.closed = True


@dataclass
class PresentedVdso:
    """A vDSO that tells the generations it is given, one a time."""

    generations: list[int | None] = field(default_factory=list)
    symbol: bool = True
    refusal: str = ""
    closed: bool = False
    process_id: int | None = None
    latency: GetrandomLatency = LATENCY

    def has_symbol(self) -> bool:
        return self.symbol

    def ask(self) -> None:
        pass

    def answer(self) -> VdsoFacts:
        if self.refusal:
            raise Unavailable(self.refusal)
        if not self.symbol:
            return VdsoFacts(None, "not on this kernel", self.latency)
        generation = self.generations.pop(0) if len(self.generations) > 1 else self.generations[0]
        return VdsoFacts(generation, latency=self.latency)

    def close(self) -> None:
        self.closed = True


@dataclass
class Machine:
    """A presented machine that can be read."""

    folder: Path
    system: PresentedSystem
    vdso: PresentedVdso

    def write(self, name: str, text: str | int) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n" if isinstance(text, int) else text, encoding="latin-1")

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()

    def reader(self) -> SignalReader:
        return SignalReader(self.folder, self.system, self.vdso)

    def read(self) -> Reading:
        return self.reader().read()


Present = Callable[..., Machine]

MODERN: Mapping[str, str | int] = {
    f"{RANDOM}/entropy_avail": 256,
    f"{RANDOM}/poolsize": 256,
    f"{RANDOM}/write_wakeup_threshold": 256,
    f"{RANDOM}/urandom_min_reseed_secs": 60,
}
OLD: Mapping[str, str | int] = {
    f"{RANDOM}/entropy_avail": 1800,
    f"{RANDOM}/poolsize": 4096,
    f"{RANDOM}/read_wakeup_threshold": 64,
    f"{RANDOM}/write_wakeup_threshold": 896,
    f"{RANDOM}/urandom_min_reseed_secs": 60,
}


@pytest.fixture
def present(tmp_path: Path) -> Present:
    """Builds a machine from its random sysctls, "modern" or "old" and changes to them."""

    def build(
        kind: str = "modern", files: Mapping[str, str | int | None] | None = None, **answers: object
    ) -> Machine:
        symbol = bool(answers.pop("vdso", False))
        system = PresentedSystem(**answers)  # type: ignore[arg-type]
        if kind == "old":
            system.insecure = bool(answers.get("insecure", False))
        machine = Machine(tmp_path / "root", system, PresentedVdso([5], symbol=symbol))
        contents: dict[str, str | int | None] = {
            **(MODERN if kind == "modern" else OLD),
            f"{RANDOM}/boot_id": BOOT_ID + "\n",
            "proc/uptime": "100.25 180.00\n",
            "proc/interrupts": INTERRUPTS,
            f"{HWRNG}/rng_current": "virtio_rng.0\n",
            f"{HWRNG}/rng_available": "virtio_rng.0 none\n",
            f"{HWRNG}/rng_quality": 1024,
            **(files or {}),
        }
        for name, text in contents.items():
            if text is not None:
                machine.write(name, text)
        return machine

    return build
