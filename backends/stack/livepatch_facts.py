"""What is known about patching functions of the running kernel: frozen facts alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Frame:
    """One entry of a task's kernel stack."""

    function: str
    offset: int  # bytes from the function's start
    module: str = ""  # "" for the kernel itself


@dataclass(frozen=True, slots=True)
class TaskInside:
    """A task that was inside of one of the functions when it was looked at."""

    pid: int
    tid: int
    name: str
    state: str  # letter of /proc/PID/stat: R, S, D, ...; "" unknown
    frames: tuple[Frame, ...]  # those of the functions, innermost first
    kernel: bool = False  # a kernel thread


@dataclass(frozen=True, slots=True)
class TaskUnread:
    """A task whose kernel stack could not be read."""

    pid: int
    tid: int
    name: str
    reason: str  # of the system: "Operation not permitted"


@dataclass(frozen=True, slots=True)
class PatchedFunction:
    """A function that a live patch replaces."""

    object: str  # vmlinux, or a module
    function: str
    position: int = 1  # of the symbol among those of its name; 1 the first or only one


@dataclass(frozen=True, slots=True)
class Patch:
    """A live patch that is loaded."""

    name: str
    enabled: bool
    transition: bool  # tasks are being switched over now
    functions: tuple[PatchedFunction, ...] = ()


@dataclass(frozen=True, slots=True)
class Tasks:
    """Which tasks are inside of some functions at a moment."""

    functions: tuple[str, ...]  # looked for
    read: int  # tasks whose stack was read
    empty: int  # of those, how many had no kernel stack to show: they run, or in user mode
    ended: int  # tasks that ended while they were looked at
    inside: tuple[TaskInside, ...] = ()
    unread: tuple[TaskUnread, ...] = ()
    patches: tuple[Patch, ...] | None = None  # None: the kernel has no /sys/kernel/livepatch
    unknown: tuple[str, ...] = ()  # functions that this kernel has no symbol of
    pending: tuple[int, ...] = ()  # tids that hold up a transition under way


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether stack traces through a function, or an object, can be relied on."""

    file: str
    function: str  # "" for code outside of functions
    reasons: tuple[str, ...] = ()  # why not; empty: they can
    unknown: str = ""  # why that can't be told

    @property
    def reliable(self) -> bool:
        """Whether a stack trace through it can be relied on."""
        return not self.reasons and not self.unknown


def module_name(path: str) -> str:
    """The module that a file holds, as in stack traces; "" for objects, which may be built in."""
    stem, dot, _ = PurePath(path).name.partition(".ko")
    return stem.replace("-", "_") if dot else ""
