"""Guests as bytes, run on the real /dev/kvm."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kdash.backends.kvm.facts import Exit, Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.records import REGISTER_NAMES, Record
from kdash.backends.kvm.runner import Runner, Slice


@dataclass
class Run:
    """A guest, what it did, and where it is."""

    runner: Runner
    exits: list[Exit] = field(default_factory=list)
    steps: list[Record] = field(default_factory=list)

    def step(self, count: int = 1) -> None:
        """Step so many logical steps, fewer where the guest ends."""
        until = self.runner.steps + count
        for _ in range(20 * count):
            if self.runner.steps == until or self.runner.ending:
                return
            self.runner.step(until - self.runner.steps)
        raise AssertionError(f"{self.runner.steps} steps instead of {until}")

    def finish(self, stepped: bool = False) -> None:
        """Run to the end."""
        for _ in range(10_000):
            if (self.runner.step(1000) if stepped else self.runner.run()) is Slice.ENDED:
                return
        raise AssertionError("the guest does not end")

    def __getattr__(self, name: str) -> Any:
        """A register by its name, or what the runner knows."""
        if name in REGISTER_NAMES:
            return getattr(self.runner.vcpu.registers(), name)
        return getattr(self.runner, name)


Start = Callable[..., Run]


@pytest.fixture
def start() -> Iterator[Start]:
    """Loads a guest given in hexadecimal."""
    machines: list[Machine] = []

    def build(code: str, mode: Mode = Mode.REAL, **options: Any) -> Run:
        data: dict[int, bytes] = options.pop("data", {})
        guest = flat(bytes.fromhex(code), "test guest", mode=mode, **options)
        machine = Machine(guest)
        machines.append(machine)
        for address, content in data.items():
            machine.memory.write(address, content)
        exits: list[Exit] = []
        steps: list[Record] = []
        runner = Runner(machine, steps.extend, exits.append)
        return Run(runner, exits, steps)

    yield build
    for machine in machines:
        machine.close()


Assemble = Callable[..., bytes]


@pytest.fixture
def assemble_at(tmp_path: Path) -> Assemble:
    """Assembles code of `bits` for `address`, as a flat binary or an ELF executable."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")

    def make(source: str, bits: int, address: int = 0x1000, elf: bool = False) -> bytes:
        (tmp_path / "g.s").write_text(f".code{bits}\n.globl _start\n_start:\n{source}\n")
        command = [
            "gcc", "-m64" if bits == 64 else "-m32", "-nostdlib", "-static", "-no-pie",
            "-Wl,--build-id=none", "-Wl,-z,noexecstack", f"-Wl,-Ttext={address:#x}",
            "-o", str(tmp_path / "g.bin"), str(tmp_path / "g.s"),
        ]  # fmt: skip
        if not elf:
            command.append("-Wl,--oformat=binary")
        subprocess.run(command, check=True, capture_output=True)
        return (tmp_path / "g.bin").read_bytes()

    return make
