"""The dashboard on recorded facts: the real panes, with the recordings as their backends."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from kdash.app import KdashApp, Place
from kdash.backends.entropy import contention_facts, health_facts
from kdash.backends.entropy import facts as entropy_facts
from kdash.backends.entropy.alerts import alerts_of
from kdash.backends.entropy.era import meaning
from kdash.backends.entropy.facts import ModelStep, Reading
from kdash.backends.entropy.happenings import Happening, Kind, Window
from kdash.backends.entropy.history import History
from kdash.backends.entropy.live_model import LiveModel
from kdash.backends.kvm import facts as kvm_facts
from kdash.backends.kvm import state_facts
from kdash.backends.kvm.facts import KvmError, RunState, Snapshot
from kdash.backends.kvm.state_facts import ControlState
from kdash.backends.kvm.stop_requests import Wanted
from kdash.backends.kvm.symbols import Symbols
from kdash.backends.stack.facts import FileReport, Finding, Flow
from kdash.backends.stack.object_files import sample_paths
from kdash.backends.stack.wire import decode
from kdash.panes.entropy import EntropyPane
from kdash.panes.entropy_laboratory import Laboratory
from kdash.panes.stack import Check, StackPane
from kdash.panes.vcpu import VcpuPane
from kdash.settings import Settings
from kdash.widgets.file_dialog import RECENT, Entry, FileDialog, Listing
from tests.recordings.codec import from_json

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = ROOT / "tests" / "recordings"
# What may stand for a guest.
STATES = ("no-kvm", "clean", "unreadable", "no-proc", "emulated", "running", "not-seeded")
NO_ACCESS = (
    "/dev/kvm: permission denied (crw-rw----, owner root, group kvm)",
    "join its group: sudo usermod -aG kvm me, then log in again",
)
MODEL_WINDOWS = 8  # of half a second that the model has been fed

_LABORATORY_FACTS = ModuleType("laboratory_facts")
_LABORATORY_FACTS.__dict__.update({**vars(contention_facts), **vars(health_facts)})
_FACTS = ModuleType("facts")  # those of snapshots and of the state beside them
_FACTS.__dict__.update({**vars(kvm_facts), **vars(state_facts)})


class RecordedSession:
    """Goes through the recorded snapshots of a guest, one a step."""

    def __init__(self, guest: str = "article") -> None:
        data = json.loads((RECORDINGS / f"vcpu-{guest}.json").read_text())
        found = from_json(data, _FACTS)
        self._snapshots: tuple[Snapshot, ...] = found["snapshots"]
        self._control: ControlState = found["control"]
        self._address: int = found["address"]
        self._memory: bytes = found["memory"]
        self._place = 0
        self.symbols = Symbols()

    def alter(self, **facts: Any) -> None:
        """Show the recording with other facts in each snapshot."""
        self._snapshots = tuple(replace(one, **facts) for one in self._snapshots)

    def snapshot(self) -> Snapshot:
        """Where the recording stands."""
        return self._snapshots[self._place]

    def _go(self, place: int) -> Future[Snapshot]:
        self._place = min(place, len(self._snapshots) - 1)
        done: Future[Snapshot] = Future()
        done.set_result(self.snapshot())
        return done

    def step(self, count: int = 1) -> Future[Snapshot]:
        """Go `count` snapshots on."""
        return self._go(self._place + count)

    step_over = step

    def run(self) -> Future[Snapshot]:
        """Go to the last snapshot."""
        return self._go(len(self._snapshots))

    def run_until(self, ip: int) -> Future[Snapshot]:
        """Go to the last snapshot."""
        return self._go(len(self._snapshots))

    run_stepped = run

    def step_back(self, count: int = 1) -> Future[Snapshot]:
        """Go `count` snapshots back."""
        return self._go(max(0, self._place - count))

    def reverse_next(self) -> Future[Snapshot]:
        """Go a snapshot back."""
        return self.step_back()

    def reverse_continue(self) -> Future[Snapshot]:
        """Go to the first snapshot."""
        return self._go(0)

    def seek(self, moment: int) -> Future[Snapshot]:
        """Go to a snapshot."""
        return self._go(moment)

    def run_from_here(self) -> Future[Snapshot]:
        """Stay."""
        return self._go(self._place)

    def save_recording(self, path: str) -> Future[Snapshot]:
        """Stay."""
        return self._go(self._place)

    def save_snapshot(self, path: str) -> Future[Snapshot]:
        """Stay."""
        return self._go(self._place)

    def pause(self) -> Future[Snapshot]:
        """Stay."""
        return self._go(self._place)

    def restart(self) -> Future[Snapshot]:
        """Go to the first snapshot."""
        return self._go(0)

    def set_register(self, name: str, value: int, confirm: bool = False) -> Future[Snapshot]:
        """Stay: a recording can't be changed."""
        return self._go(self._place)

    def add_breakpoint(self, ip: int) -> Future[Snapshot]:
        """Stay."""
        return self._go(self._place)

    def remove_breakpoint(self, ip: int) -> Future[Snapshot]:
        """Stay."""
        return self._go(self._place)

    def inspect(self, question: Callable[[Any], Any], timeout: float = 5.0) -> Any:
        """What was recorded beside the snapshots; there is no machine."""
        return question(self)

    def control(self, vcpu: int = 0) -> ControlState:
        """As at the last of the snapshots."""
        return self._control

    def __getattr__(self, name: str) -> Any:
        """Nothing else was recorded."""
        raise KvmError("a recording has no machine to look at", "run the guest")

    def add_stop(self, wanted: Wanted) -> Future[int]:
        """Stay."""
        number: Future[int] = Future()
        number.set_result(1)
        return number

    def remove_stop(self, number: int) -> Future[Snapshot]:
        """Stay."""
        return self._go(self._place)

    def ignore_stop(self, number: int, count: int) -> Future[Snapshot]:
        """Stay."""
        return self._go(self._place)

    def run_to_exit(
        self, kind: str | None = None, port: int | None = None, address: int | None = None
    ) -> Future[Snapshot]:
        """Go to the last snapshot."""
        return self._go(len(self._snapshots))

    def send_serial(self, data: bytes) -> Future[Snapshot]:
        """Stay."""
        return self._go(self._place)

    send_keys = send_serial

    def select_vcpu(self, index: int) -> Future[Snapshot]:
        """Stay: there is one."""
        return self._go(self._place)

    def write_memory(self, linear_address: int, data: bytes, confirm: bool = False) -> Future[int]:
        """Write nothing."""
        done: Future[int] = Future()
        done.set_result(0)
        return done

    def read_memory(self, linear_address: int, length: int, timeout: float = 5.0) -> bytes:
        """The guest's bytes, with zeroes around them."""
        before = bytes(max(0, min(length, self._address - linear_address)))
        start = max(0, linear_address - self._address)
        return (before + self._memory[start : start + length]).ljust(length, b"\0")[:length]

    write_physical = write_memory

    def close(self) -> None:
        """Nothing to free."""


def unseeded(reading: Reading, second: int) -> Reading:
    """A reading as of a machine without a source, so many seconds after its boot."""
    bits = min(second // 3, 200)
    reading = replace(
        reading,
        ready=False,
        random_readable=False,
        entropy_avail=bits,
        entropy_count=bits,
        uptime_seconds=float(second),
        hwrng=None,
        reseed=None,
        latency=None,
        stream=None,
        throughput=(),
        meaning=meaning(reading.era, bits, reading.poolsize, ready=False),
    )
    return replace(reading, alerts=alerts_of(reading, None))


class RecordedSampler:
    """Readings of a fixed clock."""

    def __init__(self, *, seeded: bool = True) -> None:
        data = json.loads((RECORDINGS / "entropy.json").read_text())
        readings: tuple[Reading, ...] = from_json(data, entropy_facts)
        self._readings = readings if seeded else tuple(map(unseeded, readings, count()))
        self.interval = 1.0
        self.history = History()
        for reading in self._readings:
            self.history.add(reading.monotonic, reading.quantities())

    def start(self) -> None:
        """Nothing to start."""

    def latest(self) -> Reading:
        """The last reading recorded."""
        return self._readings[-1]

    def trace_callers(self, on: bool) -> None:
        """A recording calls nothing."""

    def trace_random_events(self, on: bool) -> None:
        """Nor does it have pools that move."""

    def measure_hwrng(self) -> None:
        """A recording has no hardware."""

    def stop(self) -> None:
        """Nothing to stop."""


class RecordedEvents:
    """Interrupts and disk requests of a machine that are the same every time."""

    words = "a recorded machine"

    def __init__(self) -> None:
        self._windows = 0

    def __call__(self) -> Window:
        """Half a second of them."""
        start = self._windows * 500_000_000
        self._windows += 1
        gaps = (number * 7_919_003 + (number * number % 97) * 1_013_001 for number in range(30))
        happenings = [
            Happening(start + gap, Kind.INTERRUPT, number % 2, 24 + number % 5)
            if number % 9 else Happening(start + gap, Kind.DISK, 0, 8 << 20)
            for number, gap in enumerate(sorted(gaps))
        ]  # fmt: skip
        return Window(start, start + 500_000_000, happenings)

    def close(self) -> None:
        """Nothing is held."""


def recorded_laboratory() -> Laboratory:
    """Experiments that are done at once, with what was found when they were recorded."""
    data = json.loads((RECORDINGS / "laboratory.json").read_text())
    found = {name: from_json(value, _LABORATORY_FACTS) for name, value in data.items()}
    return Laboratory(
        lambda _: iter([found["measured"]]),
        lambda _: iter([found["simulated"]]),
        lambda _source: lambda _: iter([found["health"]]),
    )


class StandingModel(LiveModel):
    """The Linux 4.3 model after a fixed number of fixed windows; it takes no further one."""

    def __init__(self) -> None:
        super().__init__(RecordedEvents(), seed=b"recorded", speed=60)
        self._last_told = [LiveModel.advance(self) for _ in range(MODEL_WINDOWS)][-1]

    def advance(self) -> list[ModelStep]:
        """The last step, once."""
        told, self._last_told = self._last_told, []
        return told


class RecordedVcpuPane(VcpuPane):
    """The VCPU pane on the recorded guest."""

    def make_session(self, settings: Settings) -> RecordedSession:
        """The recording of the guest that the settings name in place of arguments."""
        if settings.words == ("no-kvm",):
            raise KvmError(*NO_ACCESS)
        session = RecordedSession(*(word for word in settings.words if word not in STATES))
        if settings.words == ("emulated",):
            session.alter(engine="emulator", recording=None)
        if settings.words == ("running",):
            session.step(7)
            session.alter(state=RunState.RUNNING, recording=None)
        return session

    def why_emulated(self) -> str:
        """What most people meet first."""
        return ": ".join(NO_ACCESS) if self.settings.words == ("emulated",) else ""

    def action_open(self) -> None:
        """A dialog of folders that are the same on every machine."""
        self.app.push_screen(
            FileDialog("Open a guest", GivenFiles(), "/home/me/guests", options=())
        )


class GivenFiles:
    """A folder of guests."""

    FILES: ClassVar[dict[str, str]] = {
        "seabios/": "folder",
        "boot.img": "boot sector, 512 bytes, of 2026-03-02 17:20",
        "bzImage": "bzImage: Linux kernel, 11.4 MiB, of 2026-02-27 09:12",
        "digits.elf": "ELF64 executable, x86-64, 6.9 KiB, of 2026-03-01 21:05",
        "four.kdash": "recording (.kdash), 73.4 KiB, of 2026-03-02 17:31",
        "kernel.bin": "multiboot 1, ELF32 executable, i386, 38.2 KiB, of 2026-01-19 08:40",
        "vmlinux": "vmlinux, ELF64 executable, x86-64, 412.7 MiB, of 2026-02-27 09:11",
    }

    def listing(self, folder: str) -> Listing:
        """The same whatever is asked for."""
        entries = [Entry(name, f"{folder}/{name}", name.endswith("/")) for name in self.FILES]
        return Listing(folder, tuple(entries))

    def recent(self) -> list[Entry]:
        """Two guests."""
        return [
            Entry("boot.img", "/home/me/guests/boot.img", note=RECENT),
            Entry("flat.bin", "/home/me/src/flat.bin", note=RECENT, options="--mode long"),
        ]

    def place(self, folder: str, typed: str) -> str:
        """There is one folder."""
        return folder

    def about(self, path: str) -> str:
        """What is known of a file."""
        return self.FILES.get(path.rpartition("/")[2], "folder")

    def choose(self, path: str, options: str) -> str:
        """Nothing is opened."""
        return ""


class RecordedStackPane(StackPane):
    """The Stack pane on recorded reports."""

    async def reports(self, files: list[str], check: Check) -> AsyncGenerator[FileReport]:
        """The recording, or objects in another state."""
        if self.settings.words == ("clean",):
            self.check = replace(self.check, paths=(Path("drivers/net/e1000.o"),))
            yield FileReport("drivers/net/e1000.o", functions=112, instructions=9_841)
            return
        if self.settings.words == ("unreadable",):
            yield FileReport("drivers/net/e1000.o", error="section headers reach past the end")
            yield FileReport("drivers/net/secret.o", error="Permission denied")
            return
        for line in (RECORDINGS / "stack.jsonl").read_text().splitlines():
            yield decode(line)

    async def _work_out_flow(self, finding: Finding, key: object) -> Flow | str:
        """The flow in the sample that the recording was made of."""
        there = next(path for path in sample_paths() if path.endswith(f"/{finding.file}"))
        return await super()._work_out_flow(replace(finding, file=there), key)

    def verdicts_at(self) -> str:
        """Nowhere: whoever draws may have decided about the samples."""
        return str(RECORDINGS / "no-verdicts")


class RecordedEntropyPane(EntropyPane):
    """The Entropy pane on recorded readings and a standing model.

    It looks often, so that what the last steps have left on screen is soon what it stays.
    """

    LOOK = 0.05
    STEP = 0.02

    def make_sampler(self, interval: float) -> RecordedSampler:
        """The recording."""
        if self.settings.words == ("no-proc",):
            raise OSError("/proc/sys/kernel/random: No such file or directory")
        return RecordedSampler(seeded=self.settings.words != ("not-seeded",))

    def make_laboratory(self) -> Laboratory:
        """The recording."""
        return recorded_laboratory()

    def make_model(self) -> StandingModel:
        """The model that stands still."""
        return StandingModel()


PLACES = (
    Place("vcpu", "VCPU", __name__, "RecordedVcpuPane"),
    Place("stack", "Stack", __name__, "RecordedStackPane"),
    Place("entropy", "Entropy", __name__, "RecordedEntropyPane"),
)


def recorded_app(**settings: Any) -> KdashApp:
    """The dashboard on the recordings."""
    return KdashApp(Settings(**settings), PLACES)
