"""What to try in each pane, and whether the user has been told of it."""

from __future__ import annotations

from collections.abc import Mapping

from kdash.panes.kept_state import read_state, write_state
from kdash.widgets.help import Section

_KEPT = "first-start"
HINT = "First time here? F2 shows what to try in each pane; any key puts this line away."

#: By pane: its key, then binding, usual key, and what it does to the samples every pane opens with.
_TASKS = (
    ("VCPU: step a guest to its first I/O exit", (
        ("app.vcpu", "1", "go to the pane; its guest adds two numbers and prints the sum"),
        ("vcpu.step", "s", "one instruction; registers that changed are marked. The fourth is"
            " out 0x3f8, the first exit"),
        ("vcpu.run", "space", "run to the end; the serial part shows what was printed"),
        ("vcpu.step-back", "S", "back again, a step at a time"),
        ("", "kdash FILE", "your own guest: a flat binary, an ELF file, a disk, a kernel"),
    )),
    ("Stack: understand one finding", (
        ("app.stack", "2", "go to the pane; its objects break the rules on purpose"),
        ("", "j k", "another finding; below it the way that leads there"),
        ("pane.next-view", ">", "its control flow, and the rule with an example"),
        ("", "/", "filter: kind:unreachable, function:^f"),
        ("", "kdash FOLDER", "your own objects, modules, build trees or build logs"),
    )),
    ("Entropy: is this machine seeded?", (
        ("app.entropy", "3", "go to the pane; READY says that getrandom does not wait"),
        ("entropy.plot", "p", "plot the next signal; + and - change the time shown"),
        ("pane.next-view", ">", "the generator of Linux 4.3 as a model at work"),
        ("entropy.step", "s", "there, one event into its pool"),
    )),
)  # fmt: skip
_AFTER = (("app.help", "?", "every key of the pane you are in"), ("app.zoom", "z", "a pane alone"))


def tasks(keys: Mapping[str, str]) -> tuple[Section, ...]:
    """A section of keys a pane.

    Args:
        keys: Of bindings that have other keys than usual, by id.
    """
    groups = (*_TASKS, ("Then", _AFTER))
    return tuple(
        Section(title, tuple((keys.get(binding, usual), does) for binding, usual, does in lines))
        for title, lines in groups
    )


def told_now() -> bool:
    """Whether this is the first time that the user is told; from now on it is not."""
    if read_state(_KEPT) is not None:
        return False
    return write_state(_KEPT, {"told": True})  # where that can't be kept it would come for ever
