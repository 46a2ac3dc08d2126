"""What stop points cost, and how soon a spinning guest is paused.

Steps a second of one guest (inc ax; jmp) with nothing to stop at, with breakpoints compared in
the native loop, with memory watched for changes and for accesses; the time from `pause` to the
snapshot of a guest that spins at full speed and by steps, and the times a second a condition
that does not hold is looked at with the breakpoint in a debug register.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from measurement import Aim, Measurement, Statistic, tell

from kdash.backends.kvm.facts import StopKind
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.runner import Runner
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.stop_requests import Wanted
from kdash.backends.kvm.stopping import Stopping
from kdash.backends.kvm.stops import Stops

STEPS = 40_000
PAUSES = 40
COUNT = "40 ebfd"  # L: inc ax; jmp L
NEVER = 0x9000  # no instruction is executed from here on

BREAKPOINTS = tuple(Wanted(StopKind.BREAKPOINT, NEVER + place) for place in range(1000))
WATCH = (Wanted(StopKind.WATCH, NEVER, 8),)
ACCESS = (Wanted(StopKind.ACCESS, NEVER, 8),)
NOTHING = "nothing to stop at"
KINDS = {
    NOTHING: (),
    "5 breakpoints": BREAKPOINTS[:5],
    "1,000 breakpoints": BREAKPOINTS,
    "8 bytes watched for changes": WATCH,
    "8 bytes watched for accesses": ACCESS,
}
ROUNDS = 6


def _session(stops: tuple[Wanted, ...] = ()) -> VcpuSession:
    session = VcpuSession(flat(bytes.fromhex(COUNT), "counter"))
    for wanted in stops:
        session.add_stop(wanted)
    return session


def steps_a_second(wanted: tuple[Wanted, ...]) -> float:
    """With `wanted` set, nothing recorded and none of them met."""
    with Machine(flat(bytes.fromhex(COUNT), "counter")) as machine:
        runner, stops = Runner(machine), Stops()
        for one in wanted:
            stops.add(one)
        stopping = Stopping(runner, stops, hardware=True)
        stopping.begin()
        began = time.perf_counter()
        while runner.steps < STEPS:
            stopping.step(STEPS - runner.steps)
        return STEPS / (time.perf_counter() - began)


def pauses(stops: tuple[Wanted, ...]) -> list[float]:
    """Milliseconds from asking for a pause to its snapshot"""
    session = _session(stops)
    times = []
    try:
        for _ in range(PAUSES):
            session.run()
            time.sleep(0.02)
            began = time.perf_counter()
            session.pause().result(10)
            times.append(1000 * (time.perf_counter() - began))
    finally:
        session.close()
    return times


def conditions_a_second() -> float:
    """How often a breakpoint in a debug register, whose condition fails, is passed."""
    session = _session((Wanted(StopKind.BREAKPOINT, 0x1001, condition="eax == 3000"),))
    try:
        began = time.perf_counter()
        session.run().result(60)
        return 3000 / (time.perf_counter() - began)
    finally:
        session.close()


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """The rates, then the pauses."""
    rates = {name: list[float]() for name in KINDS}
    for _ in range(2 * ROUNDS if full else ROUNDS):  # what else the machine does hits all alike
        for name, stops in KINDS.items():
            rates[name].append(steps_a_second(stops))
    plain = tuple(rates.pop(NOTHING))
    for name, found in rates.items():
        yield Measurement(f"steps with {name}", tuple(found), "/s", "with no stop point", plain)
    yield Measurement("conditions looked at in a debug register", (conditions_a_second(),), "/s")
    for name, stops in (("at full speed", ()), ("by steps, watching", WATCH)):
        yield Measurement(
            f"pause of a guest that spins {name}", tuple(pauses(stops)), "ms",
            aim=Aim(50), statistic=Statistic.LATE,
        )  # fmt: skip


if __name__ == "__main__":
    tell(measure())
