"""What executes a guest: /dev/kvm, or the emulator where that can't be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from kdash.backends.kvm.device import DEVICE, Device
from kdash.backends.kvm.facts import KvmError, Probe
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Sequence

KVM: Final = "kvm"
EMULATOR: Final = "emulator"
AUTO: Final = "auto"
#: As typed by the user.
ENGINES: Final = (KVM, EMULATOR, AUTO)


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine, and why not KVM where that was wanted."""

    engine: str  # KVM or EMULATOR
    cause: str = ""  # what is wrong with KVM
    remedy: str = ""  # how to get it


def choose(engine: str, path: str = DEVICE) -> Choice:
    """The engine for `engine`, which may be AUTO: KVM where it can be used."""
    if engine != AUTO:
        return Choice(engine)
    try:
        Device(path).close()
    except KvmError as error:
        return Choice(EMULATOR, error.cause, error.remedy)
    return Choice(KVM)


def open_machine(guest: Guest, engine: str = KVM, path: str = DEVICE) -> Machine:
    """A machine with the guest at its entry.

    Raises:
        KvmError: when the engine can't be used.
    """
    if guest.recorded is not None and engine != KVM:
        why = choose(AUTO, path)
        raise KvmError(
            f"{guest.title}: the guest of a recording goes on with KVM alone, and "
            + (why.cause or "--engine asked for the emulator"),
            why.remedy or "use --engine kvm; kdash FILE looks through it without",
        )
    if engine == KVM:
        return Machine(guest, path)
    from kdash.backends.kvm.emulated_machine import EmulatedMachine

    return cast(Machine, EmulatedMachine(guest))


def open_runner(machine: Machine, engine: str, *arguments: Any, **options: Any) -> Runner:
    """A runner for a machine of `engine`; arguments as of Runner."""
    if engine == KVM:
        return Runner(machine, *arguments, **options)
    from kdash.backends.kvm.emulated_runner import EmulatedVcpuRunner

    options["drive"] = EmulatedVcpuRunner
    return Runner(machine, *arguments, **options)


def probe_emulator() -> Probe:
    """Whether the emulator can be used."""
    try:
        import unicorn
    except ImportError as error:
        return Probe("emulator", "failed", f"unicorn: {error}", "pip install unicorn")
    return Probe("emulator", "ok", f"unicorn {unicorn.__version__}, where KVM can't be used")


def with_emulator(probes: Sequence[Probe]) -> tuple[Probe, ...]:
    """The probes of KVM and the emulator's; what fails is a warning where that takes over."""
    emulator = probe_emulator()
    if emulator.verdict == "ok":
        probes = [
            Probe(one.name, "warning" if one.verdict == "failed" else one.verdict,
                  one.detail, one.remedy)
            for one in probes
        ]  # fmt: skip
    elif all(one.verdict != "failed" for one in probes):
        emulator = Probe(emulator.name, "warning", emulator.detail, emulator.remedy)
    return (*probes, emulator)
