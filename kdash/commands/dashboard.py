"""`kdash [GUEST | OBJECT... | LOG]`: opens the dashboard, or says why it can't."""

from __future__ import annotations

import gc
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kdash import __version__
from kdash.configuration import (
    PANES,
    THEMES,
    Configuration,
    ConfigurationError,
    read_configuration,
)
from kdash.exit_status import ExitStatus
from kdash.settings import Settings
from kdash.targets import belongs_to_stack
from kdash.terminal import is_ascii_alone, unfit_reason
from kdash.web_mode import forbid_changes, in_browser
from kdash.widgets.printable import one_line

if TYPE_CHECKING:
    from kdash.backends.kvm.user_devices import DeviceClass
    from kdash.commands.argument_parser import Parser

HEADLESS = "without a terminal: kdash vcpu run | kdash stack check FILE | kdash entropy"


class RefusedError(Exception):
    """Arguments or a configuration file that no dashboard can be opened with."""

    def __init__(self, message: str, status: ExitStatus) -> None:
        super().__init__(message)
        self.status = status


def run(argv: list[str]) -> int:
    """Open the dashboard and return its exit status."""
    if "-h" in argv or "--help" in argv:
        from kdash.cli import help_text

        sys.stdout.write(help_text())
        return ExitStatus.OK
    try:
        settings, configuration = accepted(argv)
    except RefusedError as error:
        return _complain(str(error), error.status)
    web = in_browser()
    if not web and (reason := unfit_reason()):
        return _complain(f"no dashboard: {reason}; {HEADLESS}", ExitStatus.USAGE)
    if web:
        settings = replace(settings, web=True)
    elif configuration.ascii is None and is_ascii_alone():
        settings = replace(settings, ascii=True)
    if not argv and not web:
        settings = replace(settings, guided=True)
    # Nothing made while starting is garbage, and looking for it would take a tenth of the start.
    # The application switches collection on again behind its first picture.
    gc.disable()
    # What a key has changed is drawn at Textual's next frame or the one after that: at its 60 a
    # second, up to 33 ms later. Frames in which nothing has changed cost nothing.
    os.environ.setdefault("TEXTUAL_FPS", "200")
    from kdash.app import KdashApp

    if web:
        forbid_changes()
    app = KdashApp(settings)
    app.run()
    return app.return_code or ExitStatus.OK


def accepted(argv: list[str]) -> tuple[Settings, Configuration]:
    """What the arguments and the configuration file ask for, and that file.

    Raises:
        RefusedError: it can't be had.
    """
    try:
        configuration = read_configuration()
        return configured(opened(argv, configuration), configuration), configuration
    except ValueError as error:
        raise RefusedError(str(error), ExitStatus.USAGE) from None
    except ConfigurationError as error:
        status = ExitStatus.ENVIRONMENT if error.unreadable else ExitStatus.USAGE
        raise RefusedError(str(error), status) from None
    except OSError as error:
        told = f"{error.filename}: {error.strerror}"
        raise RefusedError(told, ExitStatus.ENVIRONMENT) from None


def _complain(message: str, status: ExitStatus) -> ExitStatus:
    print(f"kdash: {one_line(message)}", file=sys.stderr)  # noqa: T201
    return status


def read_settings(argv: list[str]) -> Settings:
    """What the arguments ask for.

    Raises:
        OSError: A target that does not exist or can't be looked at.
        ValueError: An option or argument that is wrong; the message names it.
    """
    parser = dashboard_parser()
    options = parser.parse_intermixed_args(argv)
    settings = settings_for([Path(target) for target in options.targets])
    if options.build_dir and not Path(options.build_dir).is_dir():
        raise ValueError(f"--build-dir {options.build_dir}: no such folder")
    for option in ("compare", "baseline", "build_dir"):
        if getattr(options, option) and not settings.objects:
            name = option.replace("_", "-")
            raise ValueError(f"--{name}: give objects, a folder or a log, too")
    options.guest = settings.guest
    return replace(
        settings,
        options=options,
        devices=_devices(options.device),
        build_dir=options.build_dir,
        older=_existing(options.compare or options.baseline),
        changed_only=options.baseline is not None,
        words=tuple(argv),
        theme=options.theme or "",
        ascii=options.ascii,
    )


def dashboard_parser() -> Parser:
    """The parser of the dashboard's arguments; complaints are raised as ValueError."""
    from kdash.commands.argument_parser import Parser
    from kdash.commands.vcpu_guest import add_guest_options, add_recording_options

    class Arguments(Parser):
        def error(self, message: str) -> NoReturn:
            raise ValueError(f"{message} (see kdash --help)")

    parser = Arguments("[GUEST | OBJECT...]", "", "")
    parser.add_argument("targets", nargs="*", metavar="GUEST | OBJECT | LOG",
        help="a guest to load, objects or folders to validate, the log of a build")  # fmt: skip
    parser.add_argument("--build-dir", metavar="DIR", default="",
        help="where the paths in LOG start")  # fmt: skip
    older = parser.add_mutually_exclusive_group()
    older.add_argument("--compare", metavar="OLD", type=Path,
        help="what is new, fixed or moved since OLD")  # fmt: skip
    older.add_argument("--baseline", metavar="FILE", type=Path,
        help="show only what FILE does not accept, and what is fixed")  # fmt: skip
    parser.add_argument("--theme", choices=THEMES, help="its colours (what suits the terminal)")
    parser.add_argument("--ascii", action="store_true",
        help="draw in ASCII alone (also in the locale C, or another without UTF-8)")  # fmt: skip
    parser.add_argument("--version", action="version", version=f"kdash {__version__}",
        help="the version")  # fmt: skip
    add_guest_options(parser)
    add_recording_options(parser)
    return parser


def _existing(path: Path | None) -> Path | None:
    """The same path, if it can be looked at; OSError otherwise."""
    if path is not None:
        path.stat()
    return path


def opened(argv: list[str], configuration: Configuration) -> Settings:
    """What the arguments ask for; guest and objects of the configuration where none is named.

    Raises:
        ConfigurationError: The configuration names what can't be looked at.
        OSError, ValueError: As of read_settings.
    """
    settings = read_settings(argv) if argv else Settings()
    if not configuration.guest and not configuration.objects:
        return settings
    more: list[str] = []
    if settings.guest is None and configuration.guest:
        _look_at(configuration, "guest", (configuration.guest,))
        more.append(str(configuration.guest))
    if not settings.objects:
        _look_at(configuration, "objects", configuration.objects)
        more += map(str, configuration.objects)
    typed = settings.guest or settings.objects
    return replace(read_settings([*argv, *more]), pane=settings.pane if typed else 0)


def _look_at(configuration: Configuration, key: str, paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            path.stat()
        except OSError as error:
            why = f"{path}: {error.strerror}"
            raise configuration.wrong(f"dashboard.{key}", why) from None
        if belongs_to_stack(path) != (key == "objects"):
            kind = "an object, a folder or results" if key == "guest" else "a guest"
            raise configuration.wrong(f"dashboard.{key}", f"{path} is {kind}")


def configured(settings: Settings, configuration: Configuration) -> Settings:
    """The settings with what the configuration file says beyond what was typed.

    Raises:
        ConfigurationError: It gives keys to a binding that does not exist, or no key.
    """
    if configuration.rules or configuration.noreturn:
        from kdash.backends.stack.facts import CheckOptions

        options = CheckOptions(levels=configuration.rules, noreturn=configuration.noreturn)
        settings = replace(settings, check=options)
    if configuration.keys:
        from kdash.keymap import check_keymap

        check_keymap(configuration)
    pane = settings.pane
    if configuration.pane and not settings.words:
        pane = PANES.index(configuration.pane)
    return replace(
        settings,
        pane=pane,
        theme=settings.theme or configuration.theme or "",
        ascii=settings.ascii or (configuration.ascii or False),
        layout=configuration.layout,
        animation=configuration.animation or settings.animation,
        watch=configuration.watch or settings.watch,
        interval=configuration.interval or settings.interval,
        keys=configuration.keys,
    )


def _devices(specs: list[str]) -> tuple[DeviceClass, ...]:
    from kdash.backends.kvm.facts import GuestError
    from kdash.backends.kvm.user_devices import load_device, make_devices

    try:
        devices = tuple(load_device(spec) for spec in specs)
        make_devices(devices)  # overlaps are told before the screen is taken
    except GuestError as error:
        raise ValueError(str(error)) from None
    return devices


def settings_for(targets: list[Path]) -> Settings:
    """Sort the targets into a guest and objects.

    Raises:
        OSError: A target that does not exist or can't be looked at.
        ValueError: Two guests, or a target that is neither a file nor a folder.
    """
    for target in targets:
        if not stat.S_ISREG(mode_bits := target.stat().st_mode) and not stat.S_ISDIR(mode_bits):
            raise ValueError(f"{target}: neither a file nor a folder")
    objects = tuple(target for target in targets if belongs_to_stack(target))
    guests = [target for target in targets if target not in objects]
    if len(guests) > 1:
        raise ValueError(f"{guests[1]}: one guest at a time; {guests[0]} is the first")
    guest = guests[0] if guests else None
    return Settings(guest=guest, objects=objects, pane=1 if objects and not guest else 0)
