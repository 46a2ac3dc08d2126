"""Functions that never return: by name, or because every way through them ends."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from kdash.backends.stack.branches import Branches
from kdash.backends.stack.functions import Functions
from kdash.backends.stack.image import STB_WEAK, Ints, ObjectImage

# Global kernel functions declared __noreturn, by the kernel release that has them so.
# 6.1: tools/objtool/check.c; later ones: tools/objtool/noreturns.h.
_SINCE_ALWAYS = """
__invalid_creds __module_put_and_kthread_exit __reiserfs_panic __stack_chk_fail
__ubsan_handle_builtin_unreachable cpu_bringup_and_idle cpu_startup_entry do_exit do_group_exit
do_task_dead ex_handler_msr_mce fortify_panic kthread_complete_and_exit kthread_exit
kunit_try_catch_throw lbug_with_loc machine_real_restart make_task_dead panic
rewind_stack_and_make_dead sev_es_terminate snp_abort stop_this_cpu usercopy_abort
xen_start_kernel complete_and_exit __module_put_and_exit rewind_stack_do_exit
"""
_SINCE_6_5 = """
__fortify_panic __kunit_abort __ia32_sys_exit __ia32_sys_exit_group __x64_sys_exit
__x64_sys_exit_group arch_cpu_idle_dead bch2_trans_in_restart_error bch2_trans_restart_error
bch2_trans_unlocked_error cpu_die hlt_play_dead hv_ghcb_terminate mpt_halt_firmware
mwait_play_dead nmi_panic_self_stop panic_smp_self_stop rest_init rust_begin_unwind
rust_helper_BUG start_kernel vpanic x86_64_start_kernel x86_64_start_reservations
xen_cpu_bringup_again
"""

_DEEPEST = 5  # sibling calls followed before two functions are taken to call each other


def noreturn_names(image: ObjectImage, extra: tuple[str, ...] = ()) -> frozenset[str]:
    """Names that never return for this object's kernel release, and those the user adds.

    A module tells its release in .modinfo (`vermagic=6.1.0-56-amd64 ...`); without one, the
    newest list applies.
    """
    names = frozenset(_SINCE_ALWAYS.split()) | frozenset(extra)
    release = kernel_release(image)
    return names if release and release < (6, 5) else names | frozenset(_SINCE_6_5.split())


def kernel_release(image: ObjectImage) -> tuple[int, int] | None:
    """Version and patch level a module was built for, None if it doesn't say."""
    for section in image.sections_named(".modinfo"):
        found = re.search(rb"(?:^|\0)vermagic=(\d{1,3})\.(\d{1,3})", image.content(section))
        if found:
            return int(found[1]), int(found[2])
    return None


class DeadEnds:
    """Answers which functions of the file never return.

    Args:
        returns: positions of all return instructions.
        siblings: jumps out of a function: their positions, the functions they go to (-1 if
            in another file) and whether their target is known by name never to return.
    """

    def __init__(
        self,
        functions: Functions,
        names: frozenset[str],
        returns: Ints,
        siblings: tuple[Ints, Ints, list[bool]],
    ) -> None:
        self._functions = functions
        self.count = len(functions)
        named = {name.encode("utf-8", "surrogateescape") for name in names}
        self._named = {at for at, name in enumerate(functions.names) if name in named}
        root = functions.root
        holder = functions.containing(returns)
        self._returning = set(root[holder[holder >= 0]].tolist())
        self._siblings: dict[int, list[tuple[int, bool]]] = {}
        sources = functions.containing(siblings[0])
        for source, target, ends in zip(
            sources.tolist(), siblings[1].tolist(), siblings[2], strict=True
        ):
            if source >= 0:
                self._siblings.setdefault(int(root[source]), []).append((target, ends))

    def never_returns(self, function: int, depth: int = 0) -> bool:
        """Whether a function (its cold part included) has no way back to its caller."""
        symbols = self._functions.image.symbols
        symbol = int(self._functions.symbol[function])
        if symbols.bind[symbol] == STB_WEAK:
            return False
        if function in self._named:
            return True
        if self._functions.instruction[function] < 0:
            return False
        root = int(self._functions.root[function])
        if root in self._returning:
            return False
        if depth == _DEEPEST:
            return False
        return all(
            ends or (target >= 0 and self.never_returns(target, depth + 1))
            for target, ends in self._siblings.get(root, [])
        )


def ending_instructions(
    branches: Branches,
    entered: Ints,
    dead_ends: DeadEnds,
    named: npt.NDArray[np.bool_],
) -> Ints:
    """Instructions that call or jump to what never returns.

    Args:
        branches: all direct jumps and calls.
        entered: for each branch the function that it enters at its start, -1 if none.
        dead_ends: tells which of them never return.
        named: which branches go to an external symbol that never returns.
    """
    count = dead_ends.count
    ending = np.zeros(count + 1, np.bool_)
    called = np.zeros(count + 1, np.bool_)
    called[entered] = True
    for function in np.flatnonzero(called[:-1]).tolist():
        ending[function] = dead_ends.never_returns(function)
    result: Ints = branches.instruction[ending[entered] | named]
    return result
