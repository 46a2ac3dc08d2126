"""Going through a recording: back and forth, over calls, to stop points and exits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from kdash.backends.kvm import disassembly
from kdash.backends.kvm.facts import StopKind
from kdash.backends.kvm.layout import PAGE
from kdash.backends.kvm.moments import Moment
from kdash.backends.kvm.recorded_contents import exits_of
from kdash.backends.kvm.recording import Recording
from kdash.backends.kvm.runner import Slice
from kdash.backends.kvm.stop_events import Arrival
from kdash.backends.kvm.stop_requests import ExitFilter
from kdash.backends.kvm.stop_table import Place
from kdash.backends.kvm.stops import Stops

#: Told where nothing lies before the moment shown.
BEGIN: Final = "the recording begins here"
#: Told where somebody did not wait for the end of a search.
INTERRUPTED: Final = "the search was stopped here"


@dataclass(frozen=True, slots=True)
class Search:
    """What going through the past stops at."""

    stops: Stops
    places: tuple[Place, ...] = ()
    exits: ExitFilter | None = None

    def __bool__(self) -> bool:
        return bool(self.stops or self.places or self.exits is not None)


class Travel:
    """Moves the moment that a recording shows.

    Args:
        recording: it.
        interrupted: asked while searching; True ends the search where it is.
    """

    def __init__(
        self, recording: Recording, interrupted: Callable[[], bool] = lambda: False
    ) -> None:
        self.recording = recording
        self._interrupted = interrupted
        self.met: tuple[int, ...] = ()  # numbers of the stop points that ended the last way
        self.why = ""  # it ended, in words

    @property
    def vcpu(self) -> int:
        """The VCPU whose step begins at the moment shown."""
        return self.recording.vcpu_at(self.recording.position)

    @property
    def arrived(self) -> int:
        """The VCPU whose step led to the moment shown."""
        return self.recording.vcpu_at(max(self.recording.position - 1, self.recording.first))

    def seek(self, moment: int) -> int:
        """Show the moment nearest to `moment`."""
        found = self.recording.seek(moment)
        self.met, self.why = (), BEGIN if found == self.recording.first else ""
        return found

    def back(self, count: int, search: Search | None = None) -> None:
        """Go so many moments back, at most to the first; `met` tells what one step back met."""
        began = self.recording.position
        found = self.seek(max(began - count, 0))
        if search and found == began - 1:
            self._stops(search, found, backwards=True)
            self.recording.seek(found)

    def back_over(self, vcpu: int) -> None:
        """Go one step back, over a call that has just returned to before it."""
        recording = self.recording
        before = recording.registers(vcpu)
        self.back(1)
        if recording.vcpu_at(recording.position) != vcpu:
            return
        at = recording.registers(vcpu)
        code = recording.read_linear(at.linear_ip, disassembly.LONGEST, vcpu)
        if before == at or not disassembly.returns(code, at.rip, at.code_bits):
            return
        # The return address lies at RSP; before it was pushed RSP was above.
        found = recording.find(backwards=True, above=(vcpu, at.rsp))
        if found is not None:
            self.seek(found)

    def back_to(self, search: Search) -> bool:
        """Go back to what is searched for; False: none, the first moment is shown."""
        found = self._nearest(search, backwards=True)
        if self.why == INTERRUPTED:
            return False
        if found is None:
            self.seek(self.recording.first)
        else:
            self.recording.seek(found)
        return found is not None

    def replay(self, search: Search, count: int | None) -> tuple[Slice, int]:
        """Show what comes next, executing nothing: to a stop, so many moments, or all of it.

        Returns:
            BREAKPOINT at a stop, else AGAIN; and the moments passed.
        """
        recording = self.recording
        began = recording.position
        end = recording.last if count is None else min(began + count, recording.last)
        found = self._nearest(search, backwards=False, until=end)
        if self.why == INTERRUPTED:
            return Slice.KICKED, recording.position - began
        recording.seek(began)
        if found is not None and found <= end:
            return Slice.BREAKPOINT, recording.seek(found) - began
        self.met, self.why = (), ""
        return Slice.AGAIN, recording.seek(end) - began

    def _nearest(self, search: Search, *, backwards: bool, until: int | None = None) -> int | None:
        """The next moment that a search stops at; some other moment is shown then."""
        self.met, self.why = (), ""
        if not search:
            return None
        recording = self.recording
        while (found := self._candidate(search, backwards, until)) is not None:
            recording.seek(found)
            if self._stops(search, found, backwards):
                return found
            recording.seek(found)
            if self._interrupted():
                self.why = INTERRUPTED
                return None
        return None

    def _candidate(self, search: Search, backwards: bool, until: int | None) -> int | None:
        """The next moment worth a look; forwards none behind `until`."""
        recording = self.recording
        stops = search.stops
        if stops.accessed:
            moment = recording.position + (-1 if backwards else 1)
            end = recording.last if until is None else until
            return moment if recording.first <= moment <= end else None
        places = [(linear, 0) for linear in stops.breakpoints]
        return recording.find(
            backwards=backwards,
            stops=[*places, *search.places],
            changed=[part for watch in stops.watched for part in self._physical(*watch)],
            exits=bool(stops.exits) or search.exits is not None,
            until=until,
        )

    def _physical(self, linear: int, length: int) -> Iterator[tuple[int, int]]:
        """Where watched memory is, as the moment shown maps it, page by page."""
        end = linear + length
        while linear < end:
            part = min(PAGE - linear % PAGE, end - linear)
            physical = self.recording.translate(linear, self.vcpu)
            if physical is not None:
                yield physical, part
            linear += part

    def _stops(self, search: Search, moment: int, backwards: bool) -> bool:
        """Whether the search stops at a moment: where it came, or by the step that is passed."""
        recording = self.recording
        vcpu = recording.vcpu_at(max(moment - 1, recording.first))
        here = self._moment(moment, vcpu)
        registers = here.registers
        arrived = any(
            registers.linear_ip == place.linear and registers.rsp >= place.minimum_sp
            for place in search.places
        )
        step = moment if backwards else moment - 1
        by = recording.vcpu_at(step)
        exits = exits_of(recording, step)
        why = [one.meaning for one in exits if search.exits and search.exits.matches(one)][:1]
        arrived = arrived or bool(why)
        before, after = self._moment(step, by), self._moment(step + 1, by)
        arrival = search.stops.of_step(before, after, exits)
        met = set(search.stops.would_stop(arrival))
        if backwards:  # where that step led to is no news
            met -= {one.number for one in search.stops.points if one.kind is StopKind.BREAKPOINT}
            met.update(search.stops.would_stop(Arrival(here)))
        self.met = tuple(sorted(met))
        stops = search.stops
        self.why = stops.told(self.met, (arrival, Arrival(here))) or "".join(why) or self.why
        return arrived or bool(met)

    def _moment(self, moment: int, vcpu: int) -> Moment:
        recording = self.recording
        recording.seek(moment)

        def read(linear: int, length: int) -> bytes:
            recording.seek(moment)
            return recording.read_linear(linear, length, vcpu)

        return Moment(recording.registers(vcpu), read)
