"""Views of the VCPU pane whose state is read only while somebody looks at it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kdash.backends.kvm.facts import KvmError, RunState, Snapshot
from kdash.panes.vcpu_keys import GuestKeys
from kdash.panes.vcpu_session import Session

if TYPE_CHECKING:
    from kdash.backends.kvm.inspector import Inspector

#: Seconds between two readings while the guest runs: each stops it for a moment.
PERIOD: Final = 0.5


class Asked(NamedTuple):
    """What a view is to be read of."""

    vcpu: int
    linear: int  # address that the page walk is for


#: The registry: view -> what to ask of the machine. How the answer is drawn is in
#: kdash.widgets.vcpu.state_view.KINDS, by the same name; the names are in
#: kdash.widgets.vcpu.arrangement.STATE_VIEWS, in the order in which < and > show them.
READERS: Final[dict[str, Callable[[Inspector, Asked], Any]]] = {
    "control": lambda inspector, asked: inspector.control(asked.vcpu),
    "fpu": lambda inspector, asked: inspector.fpu(asked.vcpu),
    "msrs": lambda inspector, asked: inspector.msrs(asked.vcpu),
    "cpuid": lambda inspector, asked: inspector.cpuid(asked.vcpu),
    "devices": lambda inspector, _: inspector.devices(),
    "statistics": lambda inspector, _: inspector.statistics(),
    "walk": lambda inspector, asked: inspector.walk(asked.linear, asked.vcpu),
}


class StateViews(GuestKeys):
    """Reads the state that is on screen: at each stop, and twice a second in a running guest."""

    walk_address: int | None = None  # of the page walk; None: where CS:IP is
    _state_read: tuple[str, Asked, Snapshot | None] | None = None
    _state_time = 0.0

    def walk(self, linear: int | None) -> None:
        """Show how `linear` is translated; None: the address of the next instruction."""
        self.walk_address = linear
        self._state_read = None
        self.show_view(self.VIEWS.index("walk"))

    def _draw(self, snapshot: Snapshot) -> None:
        super()._draw(snapshot)
        self.read_state()

    def _begin(self, session: Session) -> None:
        if self._parts.state is not None:
            self._parts.state.forget()
        self._state_read = None
        super()._begin(session)

    def read_state(self) -> None:
        """Read the view on screen, where there is something new to be read."""
        view, snapshot = self._parts.view, self._shown
        if view not in READERS or snapshot is None:
            return
        asked = self._asked(snapshot)
        running = snapshot.state is RunState.RUNNING
        if running and time.monotonic() - self._state_time < PERIOD:
            return
        wanted = (view, asked, snapshot)
        if wanted == self._state_read and not running:
            return
        self._state_read = wanted
        self._state_time = time.monotonic()
        self.run_worker(self._fetch_state(view, asked, snapshot), group="state", exclusive=True)

    def _asked(self, snapshot: Snapshot) -> Asked:
        linear = self.walk_address
        if linear is None:
            linear = snapshot.registers.linear_ip
        return Asked(snapshot.vcpu, linear)

    async def _fetch_state(self, view: str, asked: Asked, snapshot: Snapshot) -> None:
        session, shown = self._session, self._parts.state
        if session is None or shown is None:
            return
        read = READERS[view]
        try:
            fact = await asyncio.to_thread(session.inspect, lambda look: read(look, asked))
        except TimeoutError:
            return  # busy: the next stop asks again
        except KvmError as error:
            shown.fail(view, str(error))
            return
        except Exception as error:  # noqa: BLE001 - the guest and the other views go on
            shown.fail(view, f"{type(error).__name__}: {error}")
            return
        shown.show(view, fact, _note(view, snapshot))

    def action_filter(self, prefix: str = "") -> None:
        """Filter the view on screen, or the exits."""
        if self._parts.view in READERS and self._parts.state is not None:
            self._parts.state.open_filter(prefix)
        else:
            super().action_filter(prefix)


#: State that the recording keeps at checkpoints and after the instructions that change it.
KEPT_NOW_AND_THEN: Final = frozenset({"control", "fpu", "msrs"})


def _note(view: str, snapshot: Snapshot) -> str:
    """Whose state it is, and of when."""
    parts = [f"VCPU {snapshot.vcpu}"] if len(snapshot.vcpus) > 1 else []
    if snapshot.engine == "emulator":
        parts.append("EMULATED")
    recording = snapshot.recording
    if recording is not None and recording.replay:
        if view in KEPT_NOW_AND_THEN:
            older = "debug, events " if view == "control" else ""  # the rest is of the moment shown
            parts.append(f"{older}as of moment {recording.state_as_of:,}")
        elif view == "statistics":
            parts.append("as of now: counters are not recorded")
    return ", ".join(parts)
