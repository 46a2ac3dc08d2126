"""Records the guests of the pictures: what is on screen at a few stops, and the state there."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kdash.backends.kvm.facts import Snapshot
from kdash.backends.kvm.guests import article_guest
from kdash.backends.kvm.images import Options, load_file
from kdash.backends.kvm.session import VcpuSession
from screenshots.guests import build
from tests.recordings.codec import to_json

PATIENCE: Final = 30.0  # seconds
MEMORY: Final = 512  # bytes kept from the first address shown


@dataclass(frozen=True, slots=True)
class Story:
    """How a guest is brought to the stops that are recorded."""

    guest: str  # of screenshots.guests
    stops: Callable[[VcpuSession], list[Snapshot]]
    vcpus: int = 1


def digits(session: VcpuSession) -> list[Snapshot]:
    """In the past of a recording, within the loop that sums the digits."""
    session.step(400).result(PATIENCE)
    session.add_breakpoint(session.symbols.addresses["digit_sum"]).result(PATIENCE)
    session.seek(250).result(PATIENCE)
    session.reverse_continue().result(PATIENCE)
    return [session.step(3).result(PATIENCE), *_steps(session, 6)]


def boot(session: VcpuSession) -> list[Snapshot]:
    """After it painted its screen, where it waits for a key."""
    painted = session.step(5000)  # more than there are: it waits
    time.sleep(1)
    session.pause()
    return [painted.result(PATIENCE)]


def lock(session: VcpuSession) -> list[Snapshot]:
    """Each VCPU has printed, the second one spins on the lock of the first."""
    session.step(10).result(PATIENCE)
    session.select_vcpu(1).result(PATIENCE)
    session.step(10).result(PATIENCE)
    session.select_vcpu(0).result(PATIENCE)
    session.step(6).result(PATIENCE)
    session.select_vcpu(1).result(PATIENCE)
    return [session.step(5).result(PATIENCE), *_steps(session, 3)]


def _steps(session: VcpuSession, count: int) -> list[Snapshot]:
    return [session.step().result(PATIENCE) for _ in range(count)]


STORIES: Final = {
    "digits": Story("digits", digits),
    "boot": Story("boot", boot),
    "lock": Story("lock", lock, vcpus=2),
}


def record() -> dict[str, Any]:
    """What was recorded of each story as JSON data, by name."""
    found = {"article": _article()}
    with tempfile.TemporaryDirectory() as folder:
        files = build(Path(folder))
        for name, story in STORIES.items():
            session = VcpuSession(load_file(files[story.guest], Options(vcpus=story.vcpus)))
            try:
                found[name] = _recorded(session, story.stops(session))
            finally:
                session.close()
    return found


def _article() -> Any:
    """Every stop of the article's guest from start to HLT."""
    session = VcpuSession(article_guest())
    try:
        return _recorded(session, [session.snapshot(), *_steps(session, 7)])
    finally:
        session.close()


def _recorded(session: VcpuSession, stops: list[Snapshot]) -> Any:
    last = stops[-1].vcpu
    first = stops[0].registers.linear_ip
    return {
        "is": "dict",
        "items": {
            "snapshots": to_json(stops),
            "control": to_json(session.inspect(lambda look: look.control(last))),
            "address": first,
            "memory": to_json(session.read_memory(first, MEMORY)),
        },
    }
