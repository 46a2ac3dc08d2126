"""Going on with a guest from a recording in a file: a new machine in the file's last moment.

Registers, memory and the kernel's state of a moment come from the recording (recorder.py).
What came to the guest from outside until then is no state of a moment, but going back needs
it too: input, keys, what was written to its disk, what was sent. The file has that beside.
"""

from __future__ import annotations

from typing import Any, Final

from kdash.backends.kvm.board import Board, Ending
from kdash.backends.kvm.device_state import NONSENSE
from kdash.backends.kvm.engines import KVM
from kdash.backends.kvm.facts import GuestError, KvmError, Outcome, VcpuState
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.recorded_contents import devices_of
from kdash.backends.kvm.recorder import Recorder
from kdash.backends.kvm.recording_about import About, Inputs, MachineAbout
from kdash.backends.kvm.recording_file import Loaded
from kdash.backends.kvm.runner import Runner

#: Outcomes of whoever ran the guest: it could have gone on.
FROM_OUTSIDE: Final = (Outcome.TIMEOUT, Outcome.MAX_STEPS, Outcome.INTERRUPTED)
_LARGEST: Final = 1 << 64


def has_ended(about: About) -> bool:
    """Whether the guest itself ended at the last moment, so that nothing goes on there."""
    return about.outcome is not None and about.outcome not in FROM_OUTSIDE


def machine_about(machine: Machine, board: Board) -> MachineAbout:
    """What a file keeps of a machine beside its state."""
    guest = machine.guest
    return MachineAbout(
        guest.memory, guest.irqchip, guest.host_cpuid, guest.cpuid, guest.disk, board.user_devices,
        board.log.owners,
    )  # fmt: skip


def inputs_of(board: Board) -> Inputs:
    """What came to a guest from outside, until now."""
    writes = board.bios.disk.writes if board.bios else ()
    return Inputs(board.serial.given, board.keyboard.given, board.timer.now, writes)


def resume(machine: Machine, runner: Runner, loaded: Loaded) -> Recorder:
    """Put a new machine into the last moment of a recording, which goes on from there.

    The moment shown stays.

    Args:
        machine: of the guest that images.py makes of the recording.
        runner: what drives it.
        loaded: the recording; it stays as it is where this fails.

    Raises:
        KvmError: when KVM refuses a state, or has not what the recording keeps.
        GuestError: when the file's state makes no sense, or devices are not those it was made with.
    """
    recording, about, board = loaded.recording, loaded.about, runner.board
    _check_devices(loaded, board)
    shown = recording.position
    recording.seek(recording.last)
    recorder: Recorder | None = None
    try:
        _check_state(devices_of(recording), board, recording.vcpu_count)
        _give(board, about)
        recorder = Recorder(machine, board, loaded=recording)
        machine.at_close(recorder.close)
        recorder.go_on()
        runner.rewound([0] * recording.vcpu_count)
        recording.seek(recording.first)
        for one in runner.runners:
            one.steps = recording.steps_after(one.vcpu.index)
        if recording.vcpu_count == 1:
            runner.runners[0].steps = board.steps
        _end(runner, about)
        recording.seek(shown)
    except NONSENSE as error:
        _give_up(recorder, loaded, shown)
        raise GuestError(f"{about.title}: its devices' state makes no sense ({error!r})") from None
    except BaseException:
        _give_up(recorder, loaded, shown)
        raise
    return recorder


def _give_up(recorder: Recorder | None, loaded: Loaded, shown: int) -> None:
    if recorder is not None:
        recorder.close()
    loaded.recording.seek(shown)


def _check_devices(loaded: Loaded, board: Board) -> None:
    about = loaded.about
    wanted, given = about.machine.devices, board.user_devices
    if about.engine != KVM:
        raise KvmError(f"{about.title} was recorded on {about.engine}", "only KVM goes on with it")
    if wanted == given:
        return
    found = f", not {', '.join(given)}" if given else ""
    if not wanted:
        raise GuestError(f"{loaded.name}: recorded without devices{found}; leave --device out")
    options = " ".join(f"--device FILE.py:{name}" for name in wanted)
    several, order = ("s", ", in this order") if len(wanted) > 1 else ("", "")
    raise GuestError(
        f"{loaded.name}: recorded with the device{several} {', '.join(wanted)}{found}; "
        f"the guest goes on with {options}{order}"
    )


def _check_state(state: dict[str, Any], board: Board, vcpus: int) -> None:
    """Refuse what devices can't have saved; ValueError says what."""
    model = board.save()
    state.setdefault("halted", [])  # before there were interrupts to wait for
    halted = state["halted"]
    if not isinstance(halted, list) or not {*halted} <= {*range(vcpus)}:
        raise ValueError(f"VCPUs {halted!r} have not halted")
    left = state.get("left")
    if not isinstance(left, list) or not {*left} <= {*range(vcpus)}:
        raise ValueError(f"VCPUs {left!r} have not ended")
    if state.keys() != model.keys():
        raise ValueError(f"state of {sorted(state)}, not of {sorted(model)}")
    for name, saved in model.items():
        if name not in {"left", "halted"} and not (
            name.startswith("device ") or _fits(saved, state[name])
        ):
            raise ValueError(f"state of {name}")


def _fits(model: object, value: object) -> bool:
    """Whether a value is of the kind that is saved by a device which has done nothing yet."""
    if isinstance(model, dict):
        return (
            isinstance(value, dict)
            and value.keys() == model.keys()
            and all(_fits(one, value[name]) for name, one in model.items())
        )
    if isinstance(model, list):
        if not isinstance(value, list):
            return False
        if model:  # always so many
            return len(value) == len(model) and all(map(_fits, model, value))
        return all(_is_number(one) or isinstance(one, list | bool) for one in value)
    if isinstance(model, bool):
        return isinstance(value, bool)
    return (value is None and model is None) or _is_number(value)


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int)
        and not isinstance(value, bool)
        and -_LARGEST < value < _LARGEST
    )  # fmt: skip


def _give(board: Board, about: About) -> None:
    """What came from outside and what was sent, before the devices' own state is restored."""
    inputs = about.inputs
    board.serial.receive(inputs.serial)
    board.keyboard.press(inputs.keys)
    board.timer.now = inputs.clock
    outputs = [(board.serial.sent, about.serial), (board.debug_port.sent, about.debug_port)]
    if board.bios:
        outputs.append((board.bios.text.sent, about.teletype))
        for sector, data in inputs.writes:
            board.bios.disk.write(sector, data)
    for (sent, data), dropped in zip(outputs, about.dropped, strict=False):
        sent.extend(data)
        sent.dropped = dropped


def _end(runner: Runner, about: About) -> None:
    """VCPUs that had ended have ended, and the run if it had."""
    board = runner.board
    for one in runner.runners:
        if board.has_left(one.vcpu.index):
            one.ending = Ending(Outcome.HLT, f"HLT before {one.vcpu.rip:#x}")
            one.state = VcpuState.HALTED
    if has_ended(about) and about.outcome is not None:
        board.ending = Ending(about.outcome, about.detail, about.exit_value)
