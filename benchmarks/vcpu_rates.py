"""Steps and exits a second beside the shortest C program on the same ioctls.

The C loop is built from benchmarks/c_loop.c into a temporary folder. Both run the same guests,
as many events, in turn; making the machine counts for neither. Both are one thread that never
waits, so that processor time is what passes on an idle machine, and what others do there counts
for neither.
"""

from __future__ import annotations

import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator

from c_peer import built
from measurement import Aim, Measurement, tell

from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.records import Steps
from kdash.backends.kvm.runner import Runner

OUT_GUEST = bytes.fromhex("e680ebfc")  # out 0x80,al; jmp back
IN_GUEST = bytes.fromhex("e480ebfc")  # in al,0x80; jmp back
STEP_GUEST = bytes.fromhex("4001c3ebfb")  # inc ax; add bx,ax; jmp back
EVENTS = 100_000
PAIRS = 7


def c_rate(program: str, kind: str) -> float:
    """Events a second of the C loop."""
    command = [program, kind, str(EVENTS)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return float(output.stdout.split()[0])


def step_rate(mode: Mode = Mode.REAL) -> float:
    """Steps a second, every record decoded into all its fields."""
    seen = 0

    def look(steps: Steps) -> None:
        nonlocal seen
        deque(steps.fields(), 0)
        seen += len(steps)

    with Machine(Guest(title="steps", image=STEP_GUEST, mode=mode)) as machine:
        runner = Runner(machine, on_steps=look)
        begin = time.process_time()
        while runner.steps < EVENTS:
            runner.step(EVENTS - runner.steps)
        seconds = time.process_time() - begin
    if seen != EVENTS:
        raise SystemExit(f"{seen} steps were told of {EVENTS}")
    return EVENTS / seconds


def exit_rate(image: bytes) -> float:
    """Exits a second at full speed, every one counted, kept and given to its device."""
    with Machine(Guest(title="exits", image=image)) as machine:
        runner = Runner(machine)
        begin = time.process_time()
        while runner.log.total < EVENTS:
            runner.run()
        return runner.log.total / (time.process_time() - begin)


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """Rates beside the C loop's."""
    rows: tuple[tuple[str, str, Callable[[], float], float], ...] = (
        ("steps with registers, every record decoded", "step", step_rate, 0.90),
        ("exits at full speed, OUT", "out", lambda: exit_rate(OUT_GUEST), 0.95),
        ("exits at full speed, IN", "in", lambda: exit_rate(IN_GUEST), 0.95),
    )
    with built("c_loop") as program:
        for name, kind, ours, wanted in rows:
            pairs = [(c_rate(program, kind), ours()) for _ in range(3 * PAIRS if full else PAIRS)]
            theirs, own = zip(*pairs, strict=True)
            aim = Aim(wanted, least=True, ratio=True)
            yield Measurement(f"VCPU: {name}", own, "/s", "C loop", theirs, aim)


if __name__ == "__main__":
    tell(measure())
