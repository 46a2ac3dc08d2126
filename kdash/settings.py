"""What the dashboard was asked to show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from kdash.backends.kvm.user_devices import DeviceClass
    from kdash.backends.stack.facts import CheckOptions


@dataclass(frozen=True, slots=True)
class Layout:
    """How the panes share the screen."""

    side_by_side: int = 150  # columns from which they stand beside each other; 0: never
    shares: tuple[int, int, int] = (1, 1, 1)  # of the width, for VCPU, Stack and Entropy
    zoomed: bool = False  # begin with the first pane alone


@dataclass(frozen=True, slots=True)
class Settings:
    """The dashboard's arguments, sorted by pane."""

    guest: Path | None = None  # None: the sample guest
    options: Namespace | None = None  # of the guest, those of `kdash vcpu run`; None: none typed
    devices: tuple[DeviceClass, ...] = ()  # of the user, for the guest
    objects: tuple[Path, ...] = ()  # files, folders, results; empty: the bundled samples
    build_dir: str = ""  # where the paths in results start
    words: tuple[str, ...] = ()  # all of this as it was typed
    older: Path | None = None  # an older run that objects are compared with
    changed_only: bool = False  # show only what is new or fixed since
    check: CheckOptions | None = None  # how objects are validated; None: as without configuration
    pane: int = 0  # ordinal of the pane that has the keyboard first
    theme: str = ""  # one of kdash.configuration.THEMES; empty: what suits the terminal
    ascii: bool = False  # draw with the characters of ASCII alone
    layout: Layout = Layout()
    animation: int = 10  # steps a second of an animated guest, at first
    watch: float = 1.0  # seconds between two looks at the files that the stack pane watches
    interval: float = 1.0  # seconds between two samples of the entropy pane
    web: bool = False  # somebody in a browser operates it (kdash.web_mode)
    guided: bool = False  # tell who starts it for the first time what to try
    keys: tuple[tuple[str, str], ...] = ()  # ids of bindings, and the keys they have instead
