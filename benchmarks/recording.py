"""Recorded steps a second with memory, the time to show any of the last million, memory used."""

from __future__ import annotations

import random
import sys
import time

from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.recorder import Recorder
from kdash.backends.kvm.recording import Recording
from kdash.backends.kvm.runner import Runner

STEPS = 1_000_000
RUNS = 5
TARGET_RATE = 40_000
TARGET_SEEK = 0.050
#: Loops, by what a step changes at most.
GUESTS = {
    # inc rax; jmp back
    "registers alone": "48ffc0 ebfb",
    # mov [rdi], rax; add rdi, 8; and edi, 0xfffff; or edi, 0x100000; inc rax; jmp back
    "8 bytes, all over 1 MiB": "488907 4883c708 81e7ffff0f00 81cf00001000 48ffc0 ebe9",
    # rsp = 0x200000 - rcx * 64 in 1 MiB: pushes of all eight low registers, 64 bytes a round
    "pushes, all over 1 MiB": ("50 51 52 53 54 55 56 57 81e4ffff0f00 81cc00001000 48ffc0 ebe7"),
    # rep movsb of 64 bytes: the REP steps are finished in Python
    "64 bytes by REP MOVSB": (
        "48c7c140000000 f3a4 81e6ffff0f00 81e7ffff0f00 81cf00001000 48ffc0 ebe0"
    ),
}


def recorded(code: str, steps: int) -> tuple[Machine, Recording, float]:
    """A machine stepped so far, its recording, and the seconds it took."""
    guest = flat(
        bytes.fromhex(code), "loop", mode=Mode.LONG,
        registers={"rdi": 0x100000, "rsi": 0x1000, "rsp": 0x180000},
    )  # fmt: skip
    machine = Machine(guest)
    runner = Runner(machine)
    recorder = Recorder(machine, runner.board)
    began = time.perf_counter()
    while runner.steps < steps and runner.ending is None:
        runner.step(steps - runner.steps)
    return machine, recorder.recording, time.perf_counter() - began


def seek_times(recording: Recording) -> list[float]:
    """Seconds for the ends, from one to the other, and for places at random."""
    chance = random.Random(1)
    places = [recording.first, recording.last, recording.first]
    places += [chance.randint(recording.first, recording.last) for _ in range(100)]
    times = []
    for place in places:
        began = time.perf_counter()
        recording.seek(place)
        times.append(time.perf_counter() - began)
    return times


def best_rate(code: str) -> float:
    """Steps a second, the best of some short runs: others use the machine too."""
    rates = []
    for _ in range(RUNS):
        machine, recording, seconds = recorded(code, STEPS // 20)
        recording.close()
        machine.close()
        rates.append(STEPS // 20 / seconds)
    return max(rates)


def main() -> int:
    failed = False
    for name, code in GUESTS.items():
        native = "REP" not in name
        rate = best_rate(code)
        steps = STEPS if native else STEPS // 10
        machine, recording, _ = recorded(code, steps)
        times = seek_times(recording)
        recording.seek(recording.last)
        began = time.perf_counter()
        recording.find(backwards=True, stops=[(0x10, 0)])
        search = time.perf_counter() - began
        failed |= (native and rate < TARGET_RATE) or max(times) > TARGET_SEEK
        print(
            f"recording, {name}: {rate / 1e3:.0f} k steps/s"
            f"{f' (at least {TARGET_RATE // 1000} k)' if native else ''}, any of "
            f"{recording.last - recording.first} steps within {max(times) * 1e3:.1f} ms "
            f"({TARGET_SEEK * 1e3:.0f}), searched through in {search * 1e3:.0f} ms, "
            f"{recording.memory_taken >> 20} MiB"
        )
        recording.close()
        machine.close()
    return failed


if __name__ == "__main__":
    sys.exit(main())
