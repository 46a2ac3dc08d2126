"""How the VCPU pane comes by a session: the guest asked for, on the engine there is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kdash.backends.kvm.facts import GuestError, KvmError
from kdash.settings import Settings

if TYPE_CHECKING:
    from kdash.panes.vcpu_session import Session

DOCTOR = "kdash doctor looks at everything that KVM needs."
RETRY = "r tries again, o opens another guest."
EMULATED = "Without KVM: kdash --engine emulator"


def open_session(settings: Settings) -> Session:
    """The session of the guest asked for, its machine created and ready.

    Raises:
        KvmError: KVM can't be used here.
        GuestError: The guest can't be loaded.
    """
    from kdash.backends.kvm.engines import choose
    from kdash.backends.kvm.session import VcpuSession

    engine = choose(wanted_engine(settings)).engine
    options = settings.options
    if options is None and settings.guest is None:
        return VcpuSession(devices=settings.devices, engine=engine)
    if options is None:
        from kdash.backends.kvm.images import load_file

        assert settings.guest is not None
        return VcpuSession(load_file(settings.guest), devices=settings.devices, engine=engine)
    from kdash.commands.vcpu_guest import guest_of, start_of

    start = start_of(options)
    return VcpuSession(guest_of(options), devices=settings.devices, engine=engine, start=start)


def wanted_engine(settings: Settings) -> str:
    """The engine asked for: "kvm", "emulator" or "auto"."""
    return str(settings.options.engine) if settings.options else "auto"


def why_emulated(settings: Settings) -> str:
    """What keeps KVM from being used here and what to do, one line; empty where nothing does."""
    from kdash.backends.kvm.engines import choose

    choice = choose(wanted_engine(settings))
    return f"{choice.cause}: {choice.remedy or DOCTOR}" if choice.cause else ""


def cause_and_remedy(error: KvmError | GuestError) -> tuple[str, str, str]:
    """What to show when there is no guest: what is wrong, what helps, which keys go on."""
    if isinstance(error, KvmError):
        return error.cause, error.remedy or DOCTOR, f"{RETRY} {EMULATED}"
    return str(error), "Without an argument kdash loads a sample guest.", RETRY


def settings_to_open(line: str, before: Settings) -> Settings:
    """The settings for `:open LINE`: a guest and options as on kdash's own command line.

    Args:
        line: What was typed; empty for the sample guest.
        before: The settings until now, whose engine and devices stay unless others are typed.

    Raises:
        ValueError: The line is wrong, or names no guest.
        OSError: The guest's file can't be looked at.
    """
    import shlex

    from kdash.commands.dashboard import read_settings

    words = [_expanded(word) for word in shlex.split(line)]
    if before.web and any(word.startswith("--device") for word in words):
        raise ValueError("--device runs a program, which is off in a browser")
    kept = [] if "--engine" in line or before.options is None else [before.options.engine]
    settings = read_settings([*words, *(f"--engine={engine}" for engine in kept)])
    if settings.objects:
        raise ValueError(f"{settings.objects[0]}: no guest but an object to validate")
    return replace(
        settings, devices=settings.devices or before.devices, objects=before.objects, pane=0,
        words=tuple(words), web=before.web,
    )  # fmt: skip


def _expanded(word: str) -> str:
    """`~` stands for the home directory, as in a shell."""
    try:
        return str(Path(word).expanduser()) if word.startswith("~") else word
    except RuntimeError as error:
        raise ValueError(f"{word}: {error}") from None


def option_names() -> list[str]:
    """The options that `:open` takes, as typed."""
    import argparse
    import re

    from kdash.commands.vcpu_guest import add_guest_options, add_recording_options

    parser = argparse.ArgumentParser(add_help=False)
    add_guest_options(parser)
    add_recording_options(parser)
    return re.findall(r"^ +(--[\w-]+)", parser.format_help(), re.MULTILINE)
