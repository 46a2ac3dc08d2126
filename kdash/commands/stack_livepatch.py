"""`kdash stack livepatch`: can functions be patched, and which tasks are inside of them now."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from kdash.backends.json_text import json_text
from kdash.exit_status import ExitStatus

if TYPE_CHECKING:
    from kdash.backends.stack.livepatch_facts import Reliability, Tasks

EXAMPLE = """examples:
  kdash stack livepatch hrtimer_nanosleep do_select
  kdash stack livepatch drivers/net/x.ko
  kdash stack livepatch do_select --object fs/select.o
  kdash stack livepatch --format json x_probe

An object stands for all of its functions, and is validated first: where it breaks a rule of the
stack, stack traces through it can't be relied on, and it should not be patched live. A function of
a module is judged by the module's file, one of the kernel itself by --object. Nothing is stopped:
stacks are read once, as root.
exit status: 0 no task inside, traces reliable; 1 a task inside, or a function that is not
reliable; 2 usage; 3 no stack or an object could not be read"""


def add_livepatch(commands: Any) -> None:
    """Add the command to the parsers of `kdash stack`."""
    command = commands.add_parser(
        "livepatch",
        help="tasks inside of functions now, and whether stack traces through them are reliable",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "subjects", metavar="FUNCTION|OBJECT", nargs="+",
        help="a function of the running kernel, or an object or module with some",
    )  # fmt: skip
    command.add_argument(
        "--object", metavar="FILE", default="", help="the object that holds the functions"
    )
    command.add_argument(
        "--root", metavar="DIR", default="/", help="where proc and sys are (default: /)"
    )
    command.add_argument(
        "--format", choices=("text", "json"), default="text", help="what to print (text)"
    )


def carry_out_livepatch(arguments: argparse.Namespace) -> int:
    """Judge objects, look at tasks, print both; returns the exit status."""
    from kdash.backends.stack.facts import ObjectError
    from kdash.backends.stack.livepatch import NoTasksError, look_at_tasks
    from kdash.backends.stack.livepatch_facts import module_name

    verdicts: list[Reliability] = []
    functions: list[str] = []
    modules: set[str] = set()
    for subject in arguments.subjects:
        if not _is_object(subject):
            functions.append(subject)
            modules.add("")
            continue
        from kdash.backends.stack.reliability import reliability_of

        try:
            found = reliability_of(subject)
        except ObjectError as error:
            return _failed(f"{subject}: {error}")
        verdicts += found
        functions += [one.function for one in found if one.function]
        modules.add(module_name(subject))
    named = [one for one in arguments.subjects if not _is_object(one)]
    try:
        single = _of_functions(named, arguments.object, arguments.root)
    except ObjectError as error:
        return _failed(str(error))
    names = tuple(dict.fromkeys(functions))
    module = modules.pop() if len(modules) == 1 else ""
    try:
        tasks = look_at_tasks(names, module, arguments.root) if names else None
    except NoTasksError as error:
        _print(verdicts, single, None, arguments.format)
        return _failed(str(error))
    _print(verdicts, single, tasks, arguments.format)
    bad = any(one.reasons for one in (*verdicts, *single)) or bool(tasks and tasks.inside)
    return int(ExitStatus.FINDINGS if bad else ExitStatus.OK)


def _of_functions(functions: list[str], path: str, root: str) -> list[Reliability]:
    """The verdicts on functions that were named.

    Raises:
        ObjectError: an object that holds one can't be validated.
    """
    from kdash.backends.stack.module_files import modules_of
    from kdash.backends.stack.reliability import reliability_here, reliability_in

    if path:
        return [reliability_in(path, one) for one in functions]
    modules = modules_of(functions, root) if functions else {}
    return [reliability_here(one, modules.get(one), root) for one in functions]


def _is_object(subject: str) -> bool:
    """Whether a file is meant: by a slash or a suffix no function has."""
    return "/" in subject or subject.endswith((".o", ".ko", ".xz", ".zst", ".gz"))


def _print(
    verdicts: list[Reliability], single: list[Reliability], tasks: Tasks | None, form: str
) -> None:
    """Print the verdicts on objects and on functions that were named, and the tasks inside."""
    from itertools import groupby

    from kdash.backends.stack import livepatch_text as text
    from kdash.backends.stack.printable import printable

    if form == "json":
        data: dict[str, Any] = {}
        if verdicts or single:
            data["reliability"] = text.reliability_json([*verdicts, *single])
        if tasks is not None:
            data["tasks"] = text.tasks_json(tasks)
        print(json_text(data))  # noqa: T201
        return
    lines: list[str] = []
    for _, group in groupby(verdicts, key=lambda one: one.file):
        lines += text.reliability_lines(list(group))
    for one in single:
        lines += text.reliability_line(one)
    if tasks is not None:
        lines += text.task_lines(tasks)
    for line in lines:
        print(printable(line))  # noqa: T201


def _failed(reason: str) -> int:
    from kdash.backends.stack.printable import printable

    print(printable(f"kdash stack livepatch: {reason}"), file=sys.stderr)  # noqa: T201
    return int(ExitStatus.ENVIRONMENT)
