"""Carries out and completes the lines of the command prompt of the Stack pane."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kdash.backends.stack.facts import VERDICTS
from kdash.panes import stack_words as words
from kdash.widgets.pane import CommandError
from kdash.widgets.stack.entry import GROUPINGS, ORDERS

if TYPE_CHECKING:
    from kdash.panes.stack import StackPane

Command = Callable[["StackPane", str], str | None]


def carry_out(pane: StackPane, line: str) -> str:
    """Carry out one line of the command prompt; what there is to tell.

    Raises:
        CommandError: It can't be carried out.
    """
    word, rest = words.split(line)
    return COMMANDS[word](pane, rest) or ""


def _names(word: str, rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise CommandError(f"{word}: {error}") from None


def _open(word: str) -> Command:
    def carry_out(pane: StackPane, rest: str) -> None:
        names, folder = words.with_build_dir(_names(word, rest), pane.check.build_dir)
        paths = words.existing_paths(word, names)
        pane.start(replace(pane.check, paths=paths, build_dir=folder))

    return carry_out


def _noreturn(pane: StackPane, rest: str) -> str:
    names = _names("noreturn", rest)
    if not names:
        raise CommandError("noreturn: give the name of a function")
    return pane.noreturn(names)


def _frame_pointer(pane: StackPane, rest: str) -> str:
    return pane.frame_pointer(words.one_of("frame-pointer", rest, words.FRAME_POINTER))


def _sort(pane: StackPane, rest: str) -> None:
    pane.browser.findings.order_by(words.one_of("sort", rest, ORDERS))


def _group(pane: StackPane, rest: str) -> None:
    names = [words.one_of("group", name, (*GROUPINGS, "none")) for name in rest.split()]
    pane.browser.findings.group_by([name for name in dict.fromkeys(names) if name != "none"])


def _filter(pane: StackPane, rest: str) -> None:
    pane.browser.set_filter(rest)


def _goto(pane: StackPane, name: str) -> None:
    if not name:
        raise CommandError("goto: give the name of a function")
    findings = pane.browser.findings
    exact = findings.select(lambda one: one.finding is not None and one.finding.function == name)
    if not exact and not findings.select(
        lambda one: one.finding is not None and one.finding.function.startswith(name)
    ):
        raise CommandError(f"goto: no finding shown is in {name!r}")


def _compare(pane: StackPane, rest: str) -> None:
    names = _names("compare", rest)
    if len(names) > 1:
        raise CommandError("compare: one older run at a time: a folder, an object or results")
    pane.compare_with(words.existing_paths("compare", names)[0] if names else None)


def _baseline(pane: StackPane, rest: str) -> str | None:
    names = _names("baseline", rest)
    if names[:1] == ["write"]:
        if len(names) != 2:
            raise CommandError("baseline: write takes the name of a file")
        return pane.write_baseline(Path(names[1]).expanduser())
    if len(names) > 1:
        raise CommandError("baseline: give one file, or write and a file")
    pane.show_changed(words.existing_paths("baseline", names)[0] if names else None)
    return None


def _verdict(pane: StackPane, rest: str) -> str:
    return pane.verdict_command(rest)


def _export(pane: StackPane, rest: str) -> str:
    from kdash.panes.stack_export import export

    return export(list(pane.browser.findings.shown_rows), _names("export", rest))


def _watch(pane: StackPane, rest: str) -> str:
    return pane.set_watching(words.one_of("watch", rest or "on", words.ON_OFF) == "on")


def _livepatch(pane: StackPane, name: str) -> None:
    if name:
        pane.livepatch(name)
    else:
        pane.action_livepatch()


COMMANDS: Mapping[str, Command] = {
    "check": _open("check"),
    "open": _open("open"),
    "filter": _filter,
    "sort": _sort,
    "group": _group,
    "goto": _goto,
    "compare": _compare,
    "baseline": _baseline,
    "verdict": _verdict,
    "export": _export,
    "watch": _watch,
    "livepatch": _livepatch,
    "frame-pointer": _frame_pointer,
    "noreturn": _noreturn,
}


def complete(pane: StackPane, line: str) -> Sequence[str]:
    """Completions of a line behind its first word, best first."""
    word, _, rest = line.partition(" ")
    if word in ("check", "open", "compare", "baseline", "export"):
        stem = rest.rpartition(" ")[2]
        return words.complete_last(line, words.path_completions(stem))
    first = " " not in rest
    choices: Mapping[str, Callable[[], Sequence[str]]] = {
        "sort": lambda: tuple(ORDERS),
        "group": lambda: (*GROUPINGS, "none"),
        "watch": lambda: words.ON_OFF,
        "frame-pointer": lambda: words.FRAME_POINTER,
        "filter": pane.browser.filter_values,
        "verdict": lambda: (*VERDICTS, "none") if first else ("until",),
        "goto": lambda: _attributes(pane, "function"),
        "livepatch": lambda: _attributes(pane, "function"),
        "noreturn": lambda: _attributes(pane, "callee"),
    }
    return words.complete_last(line, choices[word]() if word in choices else ())


def _attributes(pane: StackPane, attribute: str) -> Sequence[str]:
    found = (entry.finding for entry in pane.browser.findings.shown_rows)
    return tuple(dict.fromkeys(getattr(one, attribute) for one in found if one))
