"""How the direction flag and the user access flag change, and what is wrong with it.

Rules and messages: tools/objtool/check.c (6.1), validate_branch and handle_insn_ops.
"""

from __future__ import annotations

from typing import Final

from kdash.backends.stack.operations import Op
from kdash.backends.stack.state import State
from kdash.backends.stack.trouble import Trouble

#: Mark of a pushf or popf in an alternative, above its bytes: there they keep AC (smap_save).
KEEPS_ACCESS: Final = 1 << 64

_STD_TWICE: Final = Trouble("direction-flag", "recursive STD")
_CLD_TWICE: Final = Trouble("direction-flag", "redundant CLD")
_STAC_TWICE: Final = Trouble("uaccess", "recursive UACCESS enable")
_CLAC_TWICE: Final = Trouble("uaccess", "redundant UACCESS disable")
_CLAC_IN_SAFE: Final = Trouble("uaccess", "UACCESS-safe disables UACCESS")
_EXHAUSTED: Final = Trouble("stack-modify", "PUSHF stack exhausted")
_DEEPEST: Final = 31  # flags pushed and not popped


def apply_flag(state: State, op: Op) -> tuple[Trouble | None, State]:
    """std, cld, stac, clac; any other operation changes nothing."""
    match op:
        case Op.SET_DIRECTION:
            return (_STD_TWICE if state.direction else None), state._replace(direction=True)
        case Op.CLEAR_DIRECTION:
            return (None if state.direction else _CLD_TWICE), state._replace(direction=False)
        case Op.OPEN_USER:
            return (_STAC_TWICE if state.uaccess else None), state._replace(uaccess=True)
        case Op.CLOSE_USER:
            return _close(state)
        case _:
            return None, state


def _close(state: State) -> tuple[Trouble | None, State]:
    closed = state._replace(uaccess=False)
    if not state.uaccess:
        return _CLAC_TWICE, closed
    if state.uaccess_safe and not state.uaccess_stack:
        return _CLAC_IN_SAFE, closed
    return None, closed


def keep_access(state: State, op: Op) -> tuple[Trouble | None, State]:
    """AC goes with the flags that are pushed, and comes back with them."""
    kept = state.uaccess_stack
    if op is Op.PUSH:
        if len(kept) == _DEEPEST:
            return _EXHAUSTED, state
        return None, state._replace(uaccess_stack=(*kept, state.uaccess))
    if not kept:
        return None, state
    return None, state._replace(uaccess=kept[-1], uaccess_stack=kept[:-1])
