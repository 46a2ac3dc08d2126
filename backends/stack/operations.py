"""A stack operation in neutral form, as the walk knows it."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from kdash.backends.stack.state import NO_REGISTER


class Op(Enum):
    """What a stack operation does, in the words of the walk."""

    NOTHING = auto()
    PUSH = auto()  # source register, if any
    POP = auto()  # target register, if any
    MOVE = auto()  # target = source
    ADD = auto()  # target = source + amount (add, sub, lea)
    ALIGN = auto()  # and immediate, target
    STORE = auto()  # [base + amount] = source
    LOAD = auto()  # target = [base + amount]
    LEAVE = auto()
    ENTER = auto()  # push rbp; mov rsp, rbp; sub amount, rsp
    CLOBBER = auto()  # target is overwritten by a value that can't be known
    GIVE_UP = auto()  # rsp is cleared: there is no stack from here on
    SET_DIRECTION = auto()
    CLEAR_DIRECTION = auto()
    OPEN_USER = auto()
    CLOSE_USER = auto()


class Operation(NamedTuple):
    """One stack operation; registers by their encoding number."""

    op: Op
    target: int = NO_REGISTER
    source: int = NO_REGISTER
    base: int = NO_REGISTER
    amount: int = 0  # bytes
