"""What a recording in a file says of its guest beside the moments."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any, Final

from kdash.backends.kvm import owners
from kdash.backends.kvm.cpuid_request import CpuidRequest, parse_request
from kdash.backends.kvm.facts import Outcome
from kdash.backends.kvm.guests import MEMORY_MAXIMUM
from kdash.backends.kvm.keys import Key
from kdash.backends.kvm.owners import Owners

_SETTINGS_MOST: Final = 4096


@dataclass(frozen=True, slots=True)
class MachineAbout:
    """What a machine needs beside the state of a moment, so that the guest can go on."""

    memory: int = 0  # bytes of RAM, as devices and BIOS tell them
    irqchip: bool = False
    host_cpuid: bool = True
    cpuid: tuple[CpuidRequest, ...] = ()
    disk: bytes | None = None  # the image; what was written to it is in `Inputs`
    devices: tuple[str, ...] = ()  # names of the user's
    owners: Owners | None = None  # who answers where; None: the file does not say


@dataclass(frozen=True, slots=True)
class Inputs:
    """What came to a guest from outside, and what its disk was given."""

    serial: bytes = b""
    keys: tuple[Key, ...] = ()
    clock: int = 0  # of the timer
    writes: tuple[tuple[int, bytes], ...] = ()  # sector and its bytes, in order


@dataclass(frozen=True, slots=True)
class About:
    """All that a file says of its guest."""

    title: str
    engine: str
    load: int = 0  # the lowest RIP of its code
    symbols: tuple[tuple[str, int], ...] = ()
    outcome: Outcome | None = None  # of the last moment
    detail: str = ""
    exit_value: int = 0  # what was written to the exit port
    serial: bytes = b""  # a tail of it
    debug_port: bytes = b""
    teletype: bytes = b""
    dropped: tuple[int, int, int] = (0, 0, 0)  # bytes before those tails
    unsaved: tuple[str, ...] = ()
    machine: MachineAbout = MachineAbout()
    inputs: Inputs = Inputs()


def to_json(about: About, *, ended: bool) -> dict[str, Any]:
    """All but what has sections of its own.

    Args:
        about: it.
        ended: whether the last moment is the end that `about` tells of.
    """
    machine, inputs = about.machine, about.inputs
    return {
        "title": about.title,
        "engine": about.engine,
        "load": about.load,
        "symbols": about.symbols,
        "outcome": about.outcome.value if about.outcome and ended else None,
        "detail": about.detail if ended else "",
        "exit_value": about.exit_value if ended else 0,
        "dropped": about.dropped,
        "unsaved": about.unsaved,
        "memory": machine.memory,
        "irqchip": machine.irqchip,
        "host_cpuid": machine.host_cpuid,
        "cpuid": [one if isinstance(one, str) else one.text for one in machine.cpuid],
        "disk": None if machine.disk is None else len(machine.disk),
        "devices": machine.devices,
        "owners": owners.to_json(machine.owners),
        "input": inputs.serial.decode("latin-1"),
        "keys": [astuple(key) for key in inputs.keys],
        "clock": inputs.clock,
    }


def from_json(meta: Any) -> About:
    """What `to_json` told.

    Raises:
        ValueError: when a value makes no sense.
        TypeError: when it is of another type.
        LookupError: when one is missing.
    """
    symbols = tuple((text(name), count(at, (1 << 64) - 1)) for name, at in meta["symbols"])
    serial, debug_port, teletype = (count(one, 1 << 62) for one in meta["dropped"])
    if len(meta["cpuid"]) > _SETTINGS_MOST:
        raise ValueError("too many settings of CPUID")
    machine = MachineAbout(
        memory=count(meta["memory"], MEMORY_MAXIMUM),
        irqchip=flag(meta["irqchip"]),
        host_cpuid=flag(meta["host_cpuid"]),
        cpuid=tuple(parse_request(text(one)) for one in meta["cpuid"]),
        devices=tuple(text(one) for one in meta["devices"]),
        owners=owners.from_json(meta.get("owners")),
    )
    inputs = Inputs(
        serial=text(meta["input"]).encode("latin-1"),
        keys=tuple(_key(*one) for one in meta["keys"]),
        clock=count(meta["clock"], 1 << 62),
    )
    return About(
        title=text(meta["title"]),
        engine=text(meta["engine"]),
        load=count(meta["load"], (1 << 64) - 1),
        symbols=symbols,
        outcome=None if meta["outcome"] is None else Outcome(meta["outcome"]),
        detail=text(meta["detail"]),
        exit_value=count(meta["exit_value"], (1 << 64) - 1),
        dropped=(serial, debug_port, teletype),
        unsaved=tuple(text(one) for one in meta["unsaved"]),
        machine=machine,
        inputs=inputs,
    )


def _key(scan: Any, character: Any, shift: Any, ctrl: Any, extended: Any) -> Key:
    return Key(count(scan, 0xFF), count(character, 0xFF), flag(shift), flag(ctrl), flag(extended))


def count(value: Any, most: int, least: int = 0) -> int:
    """A number; ValueError where it is none or out of bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{value!r} where a number from {least} to {most} should be")
    return value


def text(value: Any) -> str:
    """Text; TypeError where it is none."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} where text should be")
    return value


def flag(value: Any) -> bool:
    """True or False; TypeError where it is neither."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} where true or false should be")
    return value
