"""What is known about patching some functions, in words and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from kdash.backends.stack.livepatch_facts import (
    Patch,
    Reliability,
    TaskInside,
    Tasks,
)
from kdash.backends.wording import counted

_MOST: Final = 20  # tasks and functions told by name in text
_MOST_REASONS: Final = 3  # after the first
#: What a state letter means for a transition (kernel/livepatch/transition.c).
_WAITS: Final = {
    "S": "asleep; leaves when it is woken (the kernel sends user tasks a fake signal)",
    "D": "in an uninterruptible sleep; nothing but what it waits for makes it leave",
    "R": "running; leaves by itself",
    "T": "stopped; leaves when it is continued",
    "t": "stopped by its tracer; leaves when it is continued",
    "I": "an idle kernel thread; leaves when it has work and is done with it",
}


def reliability_lines(verdicts: Sequence[Reliability]) -> list[str]:
    """The object's verdict, then each function that can't be relied on."""
    if not verdicts:
        return ["no function in it: no stack trace leads through it"]
    bad = [one for one in verdicts if not one.reliable]
    file = verdicts[0].file
    all_of = counted(sum(bool(one.function) for one in verdicts), "function")
    if not bad:
        all_keep = "its 1 function keeps" if all_of == "1 function" else f"all of its {all_of} keep"
        return [
            f"{file}: stack traces through this are reliable: yes, because {all_keep} the rules"
        ]
    lines = [
        f"{file}: stack traces through this are reliable: no, because {_breakers(bad, all_of)}"
    ]
    for one in bad[:_MOST]:
        lines += reliability_line(one)
    if len(bad) > _MOST:
        lines.append(f"  and {len(bad) - _MOST} more (--format json tells all)")
    return lines


def _breakers(bad: Sequence[Reliability], all_of: str) -> str:
    """What breaks a rule: functions, code outside of them, or both."""
    inside = sum(bool(one.function) for one in bad)
    told = [f"{inside} of its {all_of}"] if inside else []
    told += ["code outside of functions"] if inside < len(bad) else []
    return f"{' and '.join(told)} {'break' if inside > 1 or len(told) > 1 else 'breaks'} a rule"


def reliability_line(one: Reliability) -> list[str]:
    """The verdict on one function."""
    name = one.function or "code outside of functions"
    if one.unknown:
        return [
            f"  {name}: whether stack traces through this are reliable is not known: {one.unknown}"
        ]
    if one.reliable:
        return [f"  {name}: stack traces through this are reliable: yes"]
    first, *others = one.reasons
    lines = [f"  {name}: stack traces through this are reliable: no, because of {first}"]
    lines += [f"    and {other}" for other in others[:_MOST_REASONS]]
    if len(others) > _MOST_REASONS:
        lines.append(f"    and {len(others) - _MOST_REASONS} more like these")
    return lines


def task_lines(tasks: Tasks) -> list[str]:
    """Which tasks are inside now, what that means, and what is not known."""
    lines = [_headline(tasks)]
    lines += [_inside(one) for one in tasks.inside[:_MOST]]
    if len(tasks.inside) > _MOST:
        lines.append(f"  and {len(tasks.inside) - _MOST} more")
    lines += _meaning(tasks)
    lines += _unknown(tasks)
    return lines + _patches(tasks)


def _headline(tasks: Tasks) -> str:
    names = list(tasks.functions)
    what = ", ".join(names) if len(names) <= 3 else f"{len(names)} functions"
    inside = len(tasks.inside)
    count = "no task is" if not inside else "1 task is" if inside == 1 else f"{inside} tasks are"
    return f"{count} inside of {what} now, of {tasks.read} read"


def _inside(one: TaskInside) -> str:
    frames = " < ".join(
        f"{frame.function}+{frame.offset:#x}" + (f" [{frame.module}]" if frame.module else "")
        for frame in one.frames
    )
    thread = f"/{one.tid}" if one.tid != one.pid else ""
    kernel = ", kernel thread" if one.kernel else ""
    wait = _WAITS.get(one.state, f"state {one.state}" if one.state else "state not known")
    return f"  {one.pid}{thread} {one.name}: {frames} ({wait}{kernel})"


def _meaning(tasks: Tasks) -> list[str]:
    if not tasks.inside:
        return [
            "  of those read, a patch of it would wait for none; a task may enter at any moment,"
            " and is switched when it leaves"
        ]
    lines = [
        "  a patch of it is switched over task by task: its transition ends when these have left"
    ]
    if any(one.kernel and one.state in ("S", "I") for one in tasks.inside):
        lines.append(
            "  kernel threads take no signal: one that sleeps inside holds the transition up"
            " until it has work"
        )
    if any(one.state == "D" for one in tasks.inside):
        lines.append("  a task in state D can hold the transition up for as long as it waits")
    return lines


def _unknown(tasks: Tasks) -> list[str]:
    lines = []
    if tasks.unknown:
        names = ", ".join(tasks.unknown[:_MOST])
        more = f" and {len(tasks.unknown) - _MOST} more" if len(tasks.unknown) > _MOST else ""
        lines.append(f"no symbols of this kernel (inlined, not loaded, or misspelt): {names}{more}")
    if tasks.unread:
        reasons = Counter(one.reason for one in tasks.unread)
        why = ", ".join(f"{count} by {reason!r}" for reason, count in reasons.most_common())
        names = ", ".join(f"{one.tid} {one.name}" for one in tasks.unread[:_MOST])
        more = f" and {len(tasks.unread) - _MOST} more" if len(tasks.unread) > _MOST else ""
        lines.append(
            f"not known of {len(tasks.unread)} that could not be read ({why}): {names}{more}"
        )
    if tasks.empty:
        lines.append(f"{tasks.empty} had no kernel stack to show: in user mode, or running")
    if tasks.ended:
        lines.append(f"{tasks.ended} ended meanwhile")
    return lines


def _patches(tasks: Tasks) -> list[str]:
    if tasks.patches is None:
        return ["no /sys/kernel/livepatch: this kernel is built without CONFIG_LIVEPATCH"]
    if not tasks.patches:
        return ["no live patch is loaded"]
    lines = [_patch(patch, tasks) for patch in tasks.patches]
    if tasks.pending:
        tids = ", ".join(map(str, tasks.pending[:_MOST]))
        more = f" and {len(tasks.pending) - _MOST} more" if len(tasks.pending) > _MOST else ""
        lines.append(f"  the transition waits for tasks {tids}{more}")
    return lines


def _patch(patch: Patch, tasks: Tasks) -> str:
    state = "enabled" if patch.enabled else "disabled"
    moving = ", transition under way" if patch.transition else ""
    wanted = set(tasks.functions)
    own = [one.function for one in patch.functions if one.function in wanted]
    already = f"; replaces {', '.join(own)} already" if own else ""
    return (
        f"patch {patch.name}: {state}{moving}, {counted(len(patch.functions), 'function')}{already}"
    )


def tasks_json(tasks: Tasks) -> dict[str, Any]:
    """The tasks as one JSON object."""
    data: dict[str, Any] = {
        "functions": list(tasks.functions),
        "read": tasks.read,
        "no_kernel_stack": tasks.empty,
        "ended": tasks.ended,
        "unknown": list(tasks.unknown),
        "inside": [_task_json(one) for one in tasks.inside],
        "unreadable": [
            {"pid": one.pid, "tid": one.tid, "name": one.name, "reason": one.reason}
            for one in tasks.unread
        ],
    }
    if tasks.patches is not None:
        data["patches"] = [_patch_json(patch) for patch in tasks.patches]
        data["pending"] = list(tasks.pending)
    return data


def _task_json(one: TaskInside) -> dict[str, Any]:
    frames = [
        {"function": frame.function, "offset": frame.offset}
        | ({"module": frame.module} if frame.module else {})
        for frame in one.frames
    ]
    state = {"state": one.state} if one.state else {}
    return {
        "pid": one.pid, "tid": one.tid, "name": one.name, **state,
        "kernel_thread": one.kernel, "frames": frames,
    }  # fmt: skip


def _patch_json(patch: Patch) -> dict[str, Any]:
    return {
        "name": patch.name,
        "enabled": patch.enabled,
        "transition": patch.transition,
        "functions": [
            {"object": one.object, "function": one.function, "position": one.position}
            for one in patch.functions
        ],
    }


def reliability_json(verdicts: Iterable[Reliability]) -> list[dict[str, Any]]:
    """One object a function."""
    return [_reliability(one) for one in verdicts]


def _reliability(one: Reliability) -> dict[str, Any]:
    names = {"file": one.file, "function": one.function}
    data: dict[str, Any] = {key: name for key, name in names.items() if name}
    if one.unknown:
        return data | {"unknown": one.unknown}
    return data | {"reliable": one.reliable, "reasons": list(one.reasons)}
