"""Devices that users write: a class in a Python file, loaded by path.

    class Lamp:
        ports = range(0x10, 0x11)  # or None
        mmio = None                # or a range of guest-physical addresses
        msrs = None                # or a range of model-specific registers, 8 bytes each

        def read(self, address, size): ...          # -> int
        def write(self, address, size, value): ...  # -> None
        def attach(self, machine): ...              # optional, before the guest starts
        def save(self): ...                         # optional: its state as JSON can hold it
        def restore(self, state): ...               # optional: become what save() gave

`attach` may ask the machine (machine.py) for `memory`, for `ioeventfd(address, size, callback)`
(writes that don't stop the VCPU), `irqfd(line)` (a function that interrupts the guest) and
`coalesce(addresses)` (writes collected by KVM); all of it is closed with the machine.

`read` answers with a number that fits `size`, from 0 on. What such a class does is its author's;
what it raises, and an answer that does not fit, ends the run, never the program.
"""

from __future__ import annotations

import importlib.util
import json
import operator
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import kdash
from kdash.backends.kvm import device_calls
from kdash.backends.kvm.device_calls import EndedCall
from kdash.backends.kvm.device_state import State
from kdash.backends.kvm.facts import GuestError, KvmError, Outcome

#: One past the last port and the last guest-physical address (SDM vol. 1, 19.3; vol. 3A, 4.1.4),
#: one past the last model-specific register (ECX has 32 bits).
LIMITS: Final = {"ports": 1 << 16, "mmio": 1 << 52, "msrs": 1 << 32}
_OURS: Final = str(Path(kdash.__file__).parent) + os.sep
_numbers = count()
_Result = TypeVar("_Result")


class DeviceError(Exception):
    """A device raised, or was ended since it did not return.

    `outcome` is that of the run; `trace` the device's traceback, as data; `answered` how many
    elements of a repeated read it had answered before.
    """

    answered = 0

    def __init__(self, device: str, error: BaseException) -> None:
        self.outcome = Outcome.UNHANDLED_EXIT
        told = f"device {device}: {_told(error)}"
        if isinstance(error, EndedCall):
            self.outcome = error.outcome
            told = f"device {device} did not return"
        super().__init__(told)
        self.trace = _trace(error)


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """A class found in a file; every machine gets an instance of its own."""

    spec: str  # "adder.py:Adder", as given
    build: Callable[[], Any]

    def make(self) -> UserDevice:
        """An instance.

        Raises:
            GuestError: when it can't be made, or is no device.
        """
        try:
            return UserDevice(self.spec, self.build())
        except GuestError:
            raise
        except BaseException as error:  # noqa: BLE001 - sys.exit in a device ends no program
            raise GuestError(f"{self.spec}: {_told(error)}") from None


class UserDevice:
    """A user's object as a device of the bus.

    Raises:
        GuestError: when the object has not what a device needs.
    """

    posted = False  # the device sees the guest as it is at the access

    def __init__(self, spec: str, device: Any) -> None:
        self.spec = spec
        self.name = type(device).__name__
        self.ports: Sequence[range] = _claimed(spec, device, "ports")
        self.mmio: Sequence[range] = _claimed(spec, device, "mmio")
        self.msrs: Sequence[range] = _claimed(spec, device, "msrs")
        if not self.ports and not self.mmio and not self.msrs:
            raise GuestError(f"{spec}: neither ports nor mmio is a range; set one of them")
        for method in ("read", "write"):
            if not callable(getattr(device, method, None)):
                raise GuestError(f"{spec}: no method {method}({_ARGUMENTS[method]})")
        self._device = device

    def read(self, address: int, size: int) -> int:
        """The device's value.

        Raises:
            DeviceError: when the device raises, or answers something else than an int of `size`
                bytes: cutting it off would give the guest what nobody wrote.
        """
        value = self._called("read", partial(self._device.read, address, size))
        value = self._called("read", partial(operator.index, value))
        if value >> 8 * size:  # -1 of a negative one
            most = (1 << 8 * size) - 1
            told = (
                f"read({address:#x}, {size}) gave {value:#x}; {size * 8} bits hold 0 to {most:#x}"
            )
            raise DeviceError(self.name, OverflowError(told))
        return value

    def write(self, address: int, size: int, data: bytes) -> None:
        """Give the elements to the device one by one.

        Raises:
            DeviceError: when the device raises.
        """
        for at in range(0, len(data), size):
            value = int.from_bytes(data[at : at + size], "little")
            self._called("write", partial(self._device.write, address, size, value))

    def attach(self, machine: Any) -> None:
        """Show the device its machine, if it wants to see it.

        Raises:
            GuestError: when the device raises.
            KvmError: when the machine can't give it what it asks for.
        """
        if attach := getattr(self._device, "attach", None):
            try:
                attach(machine)
            except KvmError as error:  # it tells what the machine lacks
                cause = f"{self.spec}: attach: {error.cause}"
                raise KvmError(cause, error.remedy, error.errno) from None
            except BaseException as error:  # noqa: BLE001 - as in `make`
                raise GuestError(f"{self.spec}: attach: {_told(error)}") from None

    @property
    def keeps_state(self) -> bool:
        """Whether the device has save() and restore(state), so that a recording can go back."""
        return all(callable(getattr(self._device, name, None)) for name in ("save", "restore"))

    def save(self) -> State:
        """State, as the device tells it.

        Raises:
            DeviceError: when the device raises, or JSON can't hold what it gives.
        """
        state = self._called("save", self._device.save)
        self._called("save", partial(json.dumps, state))
        return {"state": state}

    def restore(self, state: State) -> None:
        """Give the device what its save() gave.

        Raises:
            DeviceError: when the device raises.
        """
        self._called("restore", partial(self._device.restore, state["state"]))

    def _called(self, method: str, call: Callable[[], _Result]) -> _Result:
        try:
            device_calls.begin(self.name, method)
            try:
                return call()
            finally:
                device_calls.end()
        except BaseException as error:  # noqa: BLE001 - as in `make`
            raise DeviceError(self.name, error) from None


_ARGUMENTS: Final = {"read": "address, size", "write": "address, size, value"}


def _claimed(spec: str, device: Any, what: str) -> tuple[range, ...]:
    claimed = getattr(device, what, None)
    if claimed is None:
        return ()
    if not isinstance(claimed, range) or claimed.step != 1 or not claimed:
        raise GuestError(f"{spec}: {what} must be a range like range(0x10, 0x12), or None")
    if claimed.start < 0 or claimed.stop > LIMITS[what]:
        raise GuestError(f"{spec}: {what} {_shown(claimed)} goes beyond {LIMITS[what] - 1:#x}")
    return (claimed,)


def load_device(spec: str) -> DeviceClass:
    """Find the class that "FILE.py:CLASS" names; runs the file.

    Raises:
        GuestError: when there is no such file or class, the file raises, or what it makes
            is no device.
    """
    path, colon, name = spec.rpartition(":")
    if not colon or not path or not name:
        raise GuestError(f"{spec!r} is not FILE.py:CLASS, as adder.py:Adder")
    if not Path(path).is_file():
        raise GuestError(f"{spec}: no file {path}")
    found = getattr(_module(spec, path), name, None)
    if not isinstance(found, type):
        raise GuestError(f"{spec}: no class {name} in {path}")
    device = DeviceClass(spec, found)
    device.make()  # what is wrong with it is told before a machine is made
    return device


def _module(spec: str, path: str) -> ModuleType:
    name = f"kdash_user_device_{next(_numbers)}"
    place = importlib.util.spec_from_file_location(name, path)
    if place is None or place.loader is None:
        raise GuestError(f"{spec}: {path} is no Python file (*.py)")
    module = importlib.util.module_from_spec(place)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        place.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):  # a person's, who waits for it to load
            raise
        raise GuestError(f"{spec}: {_told(error)}") from None
    return module


def make_devices(
    classes: Iterable[DeviceClass], memory: Iterable[range] = ()
) -> tuple[UserDevice, ...]:
    """An instance of each class.

    Args:
        classes: the classes, in the order in which they were asked for.
        memory: guest-physical addresses with memory, where no access leaves the guest.

    Raises:
        GuestError: when one can't be made, two claim the same, or one lies in memory.
    """
    made = tuple(one.make() for one in classes)
    memory = tuple(memory)
    for number, device in enumerate(made):
        for what in ("ports", "mmio", "msrs"):
            for claimed in getattr(device, what):
                for other in made[:number]:
                    _refuse_overlap(device, what, claimed, getattr(other, what), other.spec)
        for claimed in device.mmio:
            _refuse_overlap(device, "mmio", claimed, memory, "the guest's memory")
    return made


def _refuse_overlap(
    device: UserDevice, what: str, claimed: range, others: Iterable[range], whose: str
) -> None:
    for other in others:
        if claimed.start < other.stop and other.start < claimed.stop:
            raise GuestError(
                f"{device.spec}: {what} {_shown(claimed)} overlaps {_shown(other)} of {whose}"
            )


def _shown(addresses: range) -> str:
    return f"{addresses.start:#x}-{addresses.stop - 1:#x}"


def _trace(error: BaseException) -> str:
    """The traceback of a device without our own calls, before its own and where it was ended."""
    shown = traceback.TracebackException.from_exception(error)
    one: traceback.TracebackException | None = shown
    while one is not None:
        theirs = [entry for entry in one.stack if not entry.filename.startswith(_OURS)]
        one.stack = traceback.StackSummary.from_list(theirs)
        one = one.__cause__ or one.__context__
    return "".join(shown.format()).rstrip("\n")


def _told(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join("".join(traceback.format_exception_only(error)).split())
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} (line {error.lineno})"
    return text
