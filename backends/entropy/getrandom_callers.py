"""Who calls getrandom, told by tracefs, as root and on request alone.

It is the one signal that has to change something: the events of a trace instance of our own.
Source: trace event syscalls:sys_enter_getrandom, whose arguments are printed in hexadecimal, with
0x or without (kernel/trace/trace_syscalls.c, print_syscall_enter). Calls through the vDSO are seen
only when they fetch a key. Process ids are those of the machine, not of this process' namespace.
"""

from __future__ import annotations

import re
from collections.abc import Container

from kdash.backends.entropy.facts import GetrandomCaller
from kdash.backends.entropy.procfs import Root
from kdash.backends.entropy.trace_instance import TraceInstance

EVENT = "syscalls/sys_enter_getrandom"
MOST_CALLERS = 50  # that are told one by one
ASK = "kdash entropy watch --callers, in the pane :callers on"
PROBE = b"kdash-probe"  # the name of our own process that times calls
_CALL = re.compile(
    rb"\s*(\S.{0,15})-(\d{1,10})\s+(?:\(.*?\)\s+)?\[\d+\][^:]*\d:\s+"
    rb"sys_getrandom\(\w+: [0-9a-fx]+, \w+: (?:0x)?([0-9a-f]{1,16}), "
)


class CallerTrace(TraceInstance):
    """Counts the calls of each process from `start` on."""

    def __init__(self, root: Root) -> None:
        super().__init__(root, "callers", (EVENT,), ASK)

    def read(self, without: Container[int] = ()) -> tuple[GetrandomCaller, ...]:
        """Who called since the last look, the most frequent first.

        Args:
            without: Processes to leave out.

        Raises:
            Unavailable: It can't be told.
        """
        return callers_of(self.lines(), without)


def callers_of(lines: list[bytes], without: Container[int] = ()) -> tuple[GetrandomCaller, ...]:
    """Count the calls in lines of a trace; lines that tell nothing else are skipped."""
    counts: dict[tuple[int, str], tuple[int, int]] = {}
    for line in lines:
        found = _CALL.match(line)
        if found is None or (pid := int(found[2])) in without or found[1] == PROBE:
            continue
        key = pid, found[1].decode("latin-1")
        calls, nbytes = counts.get(key, (0, 0))
        counts[key] = calls + 1, nbytes + int(found[3], 16)
    ordered = sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))
    return tuple(
        GetrandomCaller(pid, name, calls, nbytes)
        for (pid, name), (calls, nbytes) in ordered[:MOST_CALLERS]
    )
