"""Recorded steps a second with memory, and the time to show any of the last million."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from measurement import Aim, Measurement, Statistic, tell

from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.recorder import Recorder
from kdash.backends.kvm.recording import Recording
from kdash.backends.kvm.runner import Runner

STEPS = 1_000_000
RUNS = 5
TARGET_RATE = 40_000
TARGET_SEEK = 50  # milliseconds
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


def rates(code: str) -> tuple[float, ...]:
    """Steps a second of some short runs."""
    found = []
    for _ in range(RUNS):
        machine, recording, seconds = recorded(code, STEPS // 20)
        recording.close()
        machine.close()
        found.append(STEPS // 20 / seconds)
    return tuple(found)


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """Rates, and the time to show any of the steps."""
    for name, code in GUESTS.items():
        native = "REP" not in name
        if not native and not full:
            continue
        aim = Aim(TARGET_RATE, least=True) if native else None
        yield Measurement(f"recorded steps, {name}", rates(code), "/s", aim=aim)
        machine, recording, _ = recorded(code, STEPS if native else STEPS // 10)
        try:
            times = tuple(1000 * seconds for seconds in seek_times(recording))
            count = recording.last - recording.first
            yield Measurement(
                f"any of {count:,} recorded steps shown, {name}", times, "ms",
                aim=Aim(TARGET_SEEK), statistic=Statistic.MOST,
            )  # fmt: skip
        finally:
            recording.close()
            machine.close()


if __name__ == "__main__":
    tell(measure(full=True))
