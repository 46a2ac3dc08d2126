"""Tasks inside of functions of the running kernel, and the live patches that it has.

Nothing is stopped or frozen: the stacks are those of a moment that is over when they are told.
Needs root: /proc/PID/task/TID/stack is for CAP_SYS_ADMIN (fs/proc/base.c, proc_pid_stack); some
tasks are refused even to root. Standard library only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from typing import Final

from kdash.backends.stack.fingerprints import base_function
from kdash.backends.stack.livepatch_facts import (
    Frame,
    Patch,
    PatchedFunction,
    TaskInside,
    Tasks,
    TaskUnread,
)

#: `[<0>] do_select+0x63a/0x930 [module]`; before Linux 4.16 an address between the brackets.
_FRAME: Final = re.compile(
    r"\[<[0-9a-fx]+>\] (?P<function>[^\s+]+)\+0x(?P<offset>[0-9a-f]+)/0x[0-9a-f]+"
    r"(?: \[(?P<module>[^\]\s]+)[^\]]*\])?"
)
_LONGEST: Final = 1 << 16  # bytes of a stack, which has at most 64 entries
_PF_KTHREAD: Final = 0x00200000  # include/linux/sched.h
_UNPATCHED, _PATCHED = "0", "1"  # klp_target_state and task->patch_state, include/linux/livepatch.h


class NoTasksError(Exception):
    """There is no /proc to read tasks from, or no stack could be read at all."""


def frames_of(text: str) -> tuple[Frame, ...]:
    """The frames of a task's stack, innermost first; lines that are none are left out."""
    found = filter(None, map(_FRAME.match, text.splitlines()))
    return tuple(
        Frame(one["function"], int(one["offset"], 16), one["module"] or "") for one in found
    )


def look_at_tasks(functions: Collection[str], module: str = "", root: str = "/") -> Tasks:
    """Which tasks are inside of functions now.

    Args:
        functions: their names in the source; copies and parts the compiler made count, too.
        module: where they are, as in `lsmod`; "" for anywhere.
        root: folder that holds proc and sys.

    Raises:
        NoTasksError: no task's stack can be read.
    """
    wanted = {base_function(name) for name in functions}
    inside: list[TaskInside] = []
    unread: list[TaskUnread] = []
    read = empty = ended = 0
    patches = read_patches(root)
    moving = any(patch.transition for patch in patches or ())
    states: dict[int, str] = {}
    for pid, tid, folder in _tasks(root):
        try:
            frames = frames_of(_text(f"{folder}/stack"))
        except (FileNotFoundError, ProcessLookupError):
            if os.path.isdir(folder):
                raise NoTasksError(_NO_STACKS) from None
            ended += 1
            continue
        except OSError as error:
            unread.append(TaskUnread(pid, tid, _name(folder), error.strerror or str(error)))
            continue
        read += 1
        empty += not frames
        if moving:
            states[tid] = _patch_state(folder)
        hit = tuple(
            one
            for one in frames
            if base_function(one.function) in wanted and (not module or one.module == module)
        )
        if hit:
            inside.append(TaskInside(pid, tid, _name(folder), *_state(folder, hit)))
    if not read:
        raise NoTasksError(_refused(unread))
    return Tasks(
        tuple(functions),
        read,
        empty,
        ended,
        tuple(inside),
        tuple(unread),
        patches,
        _unknown(wanted, root),
        _holding_up(states, patches or ()),
    )


def _unknown(functions: Collection[str], root: str) -> tuple[str, ...]:
    """Those functions that are no symbol of the kernel or its modules; none without kallsyms."""
    known: set[str] = set()
    try:
        with open(os.path.join(root, "proc/kallsyms"), encoding="utf-8", errors="replace") as file:
            for line in file:
                name = line.split(None, 3)[2] if line.count(" ") >= 2 else ""
                known.add(name)
    except OSError:
        return ()
    bare = known if known.issuperset(functions) else known | set(map(base_function, known))
    return tuple(sorted(set(functions) - bare)) if len(known) > 1 else ()


_NO_STACKS: Final = "tasks have no stack file: this kernel is built without CONFIG_STACKTRACE"


def _refused(unread: list[TaskUnread]) -> str:
    if not unread:
        return "no task to be seen in /proc"
    reason = unread[0].reason
    more = "" if os.geteuid() == 0 else "; needs root"
    return f"none of {len(unread)} stacks in /proc can be read: {reason}{more}"


def _tasks(root: str) -> Iterator[tuple[int, int, str]]:
    """Process, thread and folder of each task."""
    proc = os.path.join(root, "proc")
    try:
        pids = sorted(int(name) for name in os.listdir(proc) if name.isdecimal())
    except OSError as error:
        raise NoTasksError(f"{proc}: {error.strerror}") from None
    for pid in pids:
        folder = f"{proc}/{pid}/task"
        try:
            tids = sorted(int(name) for name in os.listdir(folder) if name.isdecimal())
        except OSError:
            continue  # it has ended
        for tid in tids:
            yield pid, tid, f"{folder}/{tid}"


def _text(path: str) -> str:
    with open(path, "rb") as file:
        return file.read(_LONGEST).decode("utf-8", "surrogateescape")


def _name(folder: str) -> str:
    try:
        return _text(f"{folder}/comm").rstrip("\n")
    except OSError:
        return ""


def _state(folder: str, frames: tuple[Frame, ...]) -> tuple[str, tuple[Frame, ...], bool]:
    """State letter, the frames, and whether it is a kernel thread (proc_pid_stat(5))."""
    try:
        fields = _text(f"{folder}/stat").rpartition(")")[2].split()
        return fields[0], frames, bool(int(fields[6]) & _PF_KTHREAD)
    except (OSError, IndexError, ValueError):
        return "", frames, False


# --- live patches (Documentation/ABI/testing/sysfs-kernel-livepatch)


def read_patches(root: str = "/") -> tuple[Patch, ...] | None:
    """The live patches that are loaded; None where the kernel can't be patched."""
    folder = os.path.join(root, "sys/kernel/livepatch")
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return None
    return tuple(_patch(folder, name) for name in names if os.path.isdir(f"{folder}/{name}"))


def _patch(folder: str, name: str) -> Patch:
    own = f"{folder}/{name}"
    functions: list[PatchedFunction] = []
    for patched in _folders(own):
        for one in _folders(f"{own}/{patched}"):
            function, _, position = one.rpartition(",")
            if function and position.isdecimal():
                functions.append(PatchedFunction(patched, function, int(position)))
    return Patch(name, _flag(f"{own}/enabled"), _flag(f"{own}/transition"), tuple(functions))


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as found:
            return sorted(one.name for one in found if one.is_dir())
    except OSError:
        return []


def _flag(path: str) -> bool:
    try:
        return _text(path).strip() == "1"
    except OSError:
        return False


def _patch_state(folder: str) -> str:
    try:
        return _text(f"{folder}/patch_state").strip()
    except OSError:
        return ""


def _holding_up(states: dict[int, str], patches: Collection[Patch]) -> tuple[int, ...]:
    """Tasks that are not where a transition under way leads."""
    moving = [patch for patch in patches if patch.transition]
    if not moving:
        return ()
    behind = _UNPATCHED if moving[0].enabled else _PATCHED
    return tuple(tid for tid, state in states.items() if state == behind)
