"""A recording from a file as a run: looked through until the guest is let go on, then live.

Nothing is executed, and KVM not asked for, before a command needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.guided import GuidedRun
from kdash.backends.kvm.pace import Pace
from kdash.backends.kvm.recorded_run import RecordedRun
from kdash.backends.kvm.recording_file import Loaded
from kdash.backends.kvm.resumption import has_ended
from kdash.backends.kvm.start import Start
from kdash.backends.kvm.user_devices import DeviceClass

if TYPE_CHECKING:
    from kdash.backends.kvm.output import OnOutput

#: What a recording alone can't do.
_NEED_A_MACHINE = frozenset(
    {"set_register", "write_memory", "write_physical", "set_fpu", "send_serial", "send_keys",
     "run_from_here"}
)  # fmt: skip
#: What is named by one thread and carried out by another, which may have gone live meanwhile.
_LATE = frozenset({"reverse_next", "fpu"})


class FileRun:
    """What session.py needs of a run; all else is as of the run that it has at the moment.

    Args:
        loaded: the recording.
        arguments: the guest and all else as of GuidedRun, for when it goes on.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - as of GuidedRun
        self,
        loaded: Loaded,
        guest: Guest,
        path: str,
        devices: Sequence[DeviceClass],
        engine: str,
        start: Start,
    ) -> None:
        self._loaded = loaded
        self._arguments = (guest, path, devices, engine, start)
        self._on_output: OnOutput | None = None
        self.interrupted: Callable[[], bool] = lambda: False  # asked while searching the past
        self._run: RecordedRun | GuidedRun = RecordedRun(loaded, guest.symbols, guest.lines)
        self._run.interrupted = self._is_interrupted

    def __getattr__(self, name: str) -> Any:
        if name in _NEED_A_MACHINE:
            return partial(self._call, name, live=True)
        if name in _LATE:
            return partial(self._call, name, live=False)
        return getattr(self._run, name)

    def _call(self, name: str, *arguments: Any, live: bool, **options: Any) -> Any:
        run = self._live() if live else self._run
        return getattr(run, name)(*arguments, **options)

    @property
    def on_output(self) -> OnOutput | None:
        """Told what the guest sends when it goes on."""
        return self._on_output

    @on_output.setter
    def on_output(self, listener: OnOutput | None) -> None:
        self._on_output = self._run.on_output = listener

    def begin(self, pace: Pace) -> None:
        """Go a pace through the recording; from its end on live, unless the guest has ended.

        Raises:
            KvmError: when it can't go on.
            GuestError: when the file's state makes no sense.
        """
        recording = self._loaded.recording
        if recording.position == recording.last and not has_ended(self._loaded.about):
            self._live()
        self._run.begin(pace)

    def _is_interrupted(self) -> bool:
        return self.interrupted()

    def close(self) -> None:
        """Free everything; more than once does no harm."""
        self._run.close()
        self._loaded.recording.close()

    def _live(self) -> GuidedRun:
        """The guest on a machine, as the file says; the moment shown stays."""
        run = self._run
        if isinstance(run, RecordedRun):
            live = GuidedRun(*self._arguments, stops=run.stops)
            live.on_output = self._on_output
            live.interrupted = self._is_interrupted
            live.select_vcpu(run.selected)
            self._run = run = live
        return run
