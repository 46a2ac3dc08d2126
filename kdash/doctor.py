"""Collects what works on this machine: every probe of the backends and of the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from kdash.terminal import colour_count, unfit_reason


class Probe(Protocol):
    """What every probe of a backend tells."""

    @property
    def name(self) -> str:
        """What was looked at."""

    @property
    def verdict(self) -> str:
        """One of "ok", "warning" and "failed"."""

    @property
    def detail(self) -> str:
        """What was found, one line."""

    @property
    def remedy(self) -> str:
        """What to do about it; empty when there is nothing to do."""


@dataclass(frozen=True, slots=True)
class PlainProbe:
    """A probe of the terminal, of this process's surroundings, of what is installed."""

    name: str
    verdict: str
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """The probes of one pane, or of the terminal."""

    title: str
    probes: tuple[Probe, ...]
    essential: bool  # a failed probe here means that a pane can't do its main job

    @property
    def works(self) -> bool:
        """Whether no probe failed."""
        return all(probe.verdict != "failed" for probe in self.probes)


def examine() -> tuple[Section, ...]:
    """Run every probe. Takes well under a second; changes nothing."""
    return (
        Section("vcpu", _guarded(_vcpu), essential=True),
        Section("stack", _guarded(_stack), essential=True),
        Section("entropy", _guarded(_entropy), essential=True),
        Section("terminal", probe_terminal(), essential=False),
    )


def _vcpu() -> tuple[Probe, ...]:
    from kdash.backends.kvm.build_probe import probe_build
    from kdash.backends.kvm.capabilities import probe_kvm
    from kdash.backends.kvm.engines import with_emulator
    from kdash.backends.kvm.host_probe import probe_host

    return (probe_build(), probe_host(), *with_emulator(probe_kvm()))


def _stack() -> tuple[Probe, ...]:
    from kdash.backends.stack.probe import probe_stack

    return probe_stack()


def _entropy() -> tuple[Probe, ...]:
    from kdash.backends.entropy.probe import probe_entropy

    return probe_entropy()


def _guarded(probes: Callable[[], tuple[Probe, ...]]) -> tuple[Probe, ...]:
    """The probes, or one that says that they could not even be loaded."""
    try:
        return probes()
    except ImportError as error:
        remedy = "install kdash again: pip builds what is missing (it needs gcc, python3-dev)"
        return (PlainProbe("installation", "failed", str(error), remedy),)


def probe_terminal() -> tuple[PlainProbe, ...]:
    """Look at the terminal the dashboard would be drawn on."""
    return (_screen(), _size(), _colours(), _encoding(), _user())


def _screen() -> PlainProbe:
    if reason := unfit_reason():
        remedy = "the headless commands work: kdash vcpu | stack | entropy"
        return PlainProbe("screen", "warning", reason, remedy)
    return PlainProbe("screen", "ok", f"TERM={os.environ['TERM']}")


def _size() -> PlainProbe:
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return PlainProbe("size", "warning", "unknown: standard output is not a terminal")
    text = f"{size.columns}x{size.lines}"
    if size.columns < 80 or size.lines < 24:
        return PlainProbe("size", "warning", text, "80x24 shows one pane whole")
    return PlainProbe("size", "ok", text)


def _colours() -> PlainProbe:
    if "NO_COLOR" in os.environ:
        return PlainProbe("colours", "ok", "off: NO_COLOR is set")
    count = colour_count()
    if count <= 16:
        remedy = "TERM=xterm-256color or COLORTERM=truecolor, if the terminal can"
        return PlainProbe("colours", "warning", f"{count}", remedy)
    return PlainProbe("colours", "ok", f"{count:,}")


def _encoding() -> PlainProbe:
    encoding = (sys.stderr.encoding or "unknown").lower()
    if encoding.replace("-", "") != "utf8":
        remedy = "LC_ALL=C.UTF-8 shows lines and marks as they are drawn"
        return PlainProbe("encoding", "warning", encoding, remedy)
    return PlainProbe("encoding", "ok", encoding)


def _user() -> PlainProbe:
    if os.geteuid() == 0:
        return PlainProbe("permissions", "ok", "root: every signal can be read")
    return PlainProbe("permissions", "ok", f"user id {os.geteuid()}: not root, and none is needed")


def works(sections: Iterable[Section]) -> bool:
    """Whether all three panes can do their main job."""
    return all(section.works for section in sections if section.essential)
