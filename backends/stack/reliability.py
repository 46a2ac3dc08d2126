"""Whether stack traces through validated code can be relied on, and why not.

The kernel's reliable stack traces (Documentation/livepatch/reliable-stacktrace.rst) rest on what
the validator checks: where it finds nothing, the state before each instruction is known, and with
it the caller; where a rule about the stack is broken, or code is left out of the check, not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from kdash.backends.stack.facts import CheckOptions, Finding, ObjectError
from kdash.backends.stack.fingerprints import base_function
from kdash.backends.stack.livepatch_facts import Reliability
from kdash.backends.stack.module_files import module_file

if TYPE_CHECKING:
    from kdash.backends.stack.walk import Walk

#: Kinds that say nothing about where the caller's frame is.
_ELSEWHERE: Final = (
    "uaccess", "direction-flag", "retpoline", "rethunk", "sls", "ibt", "missing-noreturn",
)  # fmt: skip
_UNCHECKED: Final = "left out of the check by its author (STACK_FRAME_NON_STANDARD): no unwind data"


def reliability_of(path: str, options: CheckOptions | None = None) -> tuple[Reliability, ...]:
    """A verdict on each function of an object, and on its code outside of functions if that fails.

    Raises:
        ObjectError: the object can't be validated.
    """
    from kdash.backends.stack.check import Checker

    report, walk = Checker(options).examine(path)
    if walk is None:
        raise ObjectError(report.error)
    reasons: dict[str, list[str]] = {name: [] for name in _functions(walk)}
    for index in sorted(walk.ignored):
        reasons.setdefault(walk.program.functions.name(index), []).append(_UNCHECKED)
    for finding in report.findings:
        if finding.kind not in _ELSEWHERE:
            reasons.setdefault(finding.function, []).append(_reason(finding))
    return tuple(
        Reliability(path, name, tuple(dict.fromkeys(found))) for name, found in reasons.items()
    )


def reliability_in(path: str, function: str) -> Reliability:
    """The verdict on a function, its copies and parts included, by an object that holds it.

    Raises:
        ObjectError: the object can't be validated.
    """
    name = base_function(function)
    own = [
        one for one in reliability_of(path) if one.function and base_function(one.function) == name
    ]
    if not own:
        return Reliability(path, function, unknown=f"{path} has no such function")
    reasons = dict.fromkeys(reason for one in own for reason in one.reasons)
    return Reliability(path, function, tuple(reasons))


def reliability_here(function: str, module: str | None, root: str = "/") -> Reliability:
    """The verdict on a function of the running kernel, by the file of its module.

    Args:
        function: its name.
        module: where it is; "" for the kernel itself, None where that is not known.
        root: folder that holds proc and lib.

    Raises:
        ObjectError: the module's file can't be validated.
    """
    if module is None:
        return Reliability("", function, unknown="no symbol of this kernel")
    if not module:
        return Reliability("", function, unknown="it is in the kernel itself")
    path = module_file(module, root)
    if not path:
        return Reliability("", function, unknown=f"the file of module {module} is not to be found")
    return reliability_in(path, function)


def judge_function(file: str, function: str, findings: Iterable[Finding]) -> Reliability:
    """The verdict on one function, by the findings on its object."""
    own = (one for one in findings if one.function == function and one.kind not in _ELSEWHERE)
    return Reliability(file, function, tuple(dict.fromkeys(map(_reason, own))))


def _functions(walk: Walk) -> list[str]:
    functions = walk.program.functions
    return [functions.name(index) for index in range(len(functions))]


def _reason(finding: Finding) -> str:
    place = (
        f"+{finding.offset:#x}" if finding.function else f"{finding.section}+{finding.offset:#x}"
    )
    return f"{finding.kind} at {place}: {finding.message}"
