"""How one stack operation changes the stack state.

The rules are those of the System V ABI's stack frame (AMD64 supplement, section 3.2.2) and of
the code that gcc and clang emit: frame pointers, spills of callee-saved registers and their
restores, and realigned stacks (DRAP: a register that holds the argument pointer).
"""

from __future__ import annotations

from collections.abc import Callable

from kdash.backends.stack.flag_ops import KEEPS_ACCESS, apply_flag, keep_access
from kdash.backends.stack.operations import Op, Operation
from kdash.backends.stack.state import (
    CFA,
    INDIRECT_RBP,
    INDIRECT_RSP,
    NO_BASE,
    NO_REGISTER,
    RBP,
    RSP,
    SLOT,
    UNKNOWN,
    Place,
    State,
    StateTable,
)
from kdash.backends.stack.trouble import Trouble

_MOST_STEPS = 1_000_000  # remembered transitions, before all are forgotten
_MOST_SIZE = 1 << 30  # bytes of stack that still make sense
_ARGUMENT_POINTERS = (2, 7, 10, 13)  # rdx, rdi, r10, r13: those the unwinder's tables can name


UNDEFINED = Trouble("undefined-state", "undefined stack state")
REALIGNED = Trouble("stack-realign", "unsupported stack pointer realignment")
MODIFIED = Trouble("stack-modify", "unsupported stack register modification")
UNKNOWN_BASE = Trouble("stack-modify", "unknown CFA base reg")
LEFT = Trouble("stack-modify", "leave instruction with modified stack frame")
SAVED_TWICE = Trouble("duplicate-save", "duplicate frame pointer save")
SCRATCHED = Trouble("bp-scratch", "BP used as a scratch register")
SET_UP_TWICE = Trouble("duplicate-setup", "duplicate frame pointer setup")


class Transitions:
    """Memoised transitions: (state number, operation's bytes) -> next state's number.

    A negative result is a finding: its index among `troubles` is `-result - 1`.

    Args:
        operation: what the number of a stack operation means (`architecture.py`).
    """

    def __init__(self, operation: Callable[[int], Operation]) -> None:
        self._operation = operation
        self.table = StateTable()
        self.troubles: list[tuple[Trouble, int]] = []  # the finding, and the state to go on with
        self._steps = 0

    def step(self, number: int, key: int) -> int:
        """Compute, remember and return one transition."""
        state = self.table.states[number]
        trouble: Trouble | None = None
        if state.unknown:
            result = number
        else:
            operation = self._operation(key & ~KEEPS_ACCESS)
            trouble, after = apply_operation(state, operation)
            if key & KEEPS_ACCESS and trouble is None:
                trouble, after = keep_access(after, operation.op)
            result = self.table.number(after)
        if trouble is not None:
            self.troubles.append((trouble, result))
            result = -len(self.troubles)
        self.table.steps[number][key] = result
        self._steps += 1
        return result

    @property
    def full(self) -> bool:
        """Whether it is time to start afresh, to bound the memory."""
        return self._steps > _MOST_STEPS


def apply_operation(  # noqa: PLR0912 one line for each kind of operation
    state: State, operation: Operation
) -> tuple[Trouble | None, State]:
    """The state behind an operation, and what is wrong with it, if anything."""
    op = operation.op
    if state.registers:
        return apply_flag(_in_registers(state, operation), op)
    if state.base == NO_BASE:
        return (UNDEFINED, state) if op in _STACK_OPS else apply_flag(state, op)
    if op is Op.PUSH:
        twice = operation.source == RBP and not state.drap and _place(state, RBP) is not None
        return (SAVED_TWICE if twice else None), _push(state, operation)
    if op is Op.POP:
        return _pop(state, operation)
    if op is Op.STORE:
        return None, _store(state, operation)
    if op is Op.LOAD:
        return _load(state, operation)
    if op is Op.MOVE:
        return _move(state, operation)
    if op is Op.ADD:
        return _add(state, operation)
    if op is Op.ALIGN:
        return _align(state, operation)
    if op is Op.LEAVE:
        return _leave(state)
    if op is Op.ENTER:
        return _enter(state, operation)
    if op is Op.CLOBBER:
        return _clobber(state, operation)
    if op is Op.GIVE_UP:
        return None, UNKNOWN
    return apply_flag(state, op)


_STACK_OPS = frozenset(
    (Op.PUSH, Op.POP, Op.MOVE, Op.ADD, Op.ALIGN, Op.STORE, Op.LOAD, Op.LEAVE, Op.ENTER)
)


def _in_registers(state: State, operation: Operation) -> State:
    """On an interrupted context's registers only the distance to them changes."""
    if state.base not in (RSP, INDIRECT_RSP):
        return state
    if operation.op is Op.PUSH:
        return state._replace(offset=state.offset + operation.amount)
    if operation.op is Op.POP:
        return state._replace(offset=state.offset - operation.amount)
    if operation.op is Op.ADD and operation.target == operation.source == RSP:
        return state._replace(offset=state.offset - operation.amount)
    return state


def _place(state: State, register: int) -> Place | None:
    slot = SLOT.get(register)
    return None if slot is None else state.saved[slot]


def _with_place(state: State, register: int, place: Place | None) -> State:
    slot = SLOT.get(register)
    if slot is None:
        return state
    saved = state.saved
    return state._replace(saved=(*saved[:slot], place, *saved[slot + 1 :]))


def _save(state: State, register: int, place: Place) -> State:
    """Remember where a register was saved; the first place counts."""
    if register in SLOT and _place(state, register) is None:
        return _with_place(state, register, place)
    return state


def _value(state: State, register: int) -> int | None:
    return next((offset for held, offset in state.values if held == register), None)


def _with_value(state: State, register: int, offset: int) -> State:
    kept = [pair for pair in state.values if pair[0] != register]
    return state._replace(values=tuple(sorted([*kept, (register, offset)])))


def _push(state: State, operation: Operation) -> State:
    size = state.size + operation.amount
    source = operation.source
    moved = state._replace(size=size)
    if state.base == RSP:
        moved = moved._replace(offset=state.offset + operation.amount)
    if source == NO_REGISTER:
        return moved
    if state.drap:
        if state.base == state.drap_register == source:
            return moved._replace(base=INDIRECT_RBP, offset=-size, drap_offset=-size)
        if source == RBP and state.base == state.drap_register:
            return moved._replace(size=0)
        return _save(moved, source, (RBP, -size))
    return _save(moved, source, (CFA, -size))


def _pop(state: State, operation: Operation) -> tuple[Trouble | None, State]:
    target = operation.target
    if target == RSP:
        return UNDEFINED, UNKNOWN
    trouble = SCRATCHED if target == RBP and _scratches(state) else None
    if not state.drap and target == state.base and target != NO_REGISTER:
        state = state._replace(base=RSP, offset=state.size)
    if target != NO_REGISTER:
        state = _popped(state, target)
    moved = state._replace(size=state.size - operation.amount)
    if moved.base == RSP:
        moved = moved._replace(offset=moved.offset - operation.amount)
    return trouble, moved


def _scratches(state: State) -> bool:
    """Whether rbp is popped from another place than the one it was saved at.

    Where it is the frame pointer this ends the frame; if that is not balanced, the return tells.
    """
    place = _place(state, RBP)
    elsewhere = place is None or place[1] != -state.size
    return elsewhere and state.base != RBP and not state.switched


def _popped(state: State, target: int) -> State:
    if state.drap and state.base == INDIRECT_RBP and target == state.drap_register:
        if state.drap_offset == -state.size:
            return state._replace(base=target, offset=0, drap_offset=0)
        return state
    place = _place(state, target)
    if place is not None and place[1] == -state.size:
        return _with_place(state, target, None)
    return state


def _store(state: State, operation: Operation) -> State:
    source, base, amount = operation.source, operation.base, operation.amount
    if state.drap:
        if source == state.drap_register == state.base and base == RBP:
            return state._replace(base=INDIRECT_RBP, offset=amount, drap_offset=amount)
        return _save(state, source, (RBP, amount)) if base == RBP else state
    if base == state.base:
        return _save(state, source, (CFA, amount - state.offset))
    if base == RSP:
        return _save(state, source, (CFA, amount - state.size))
    return state


def _load(state: State, operation: Operation) -> tuple[Trouble | None, State]:
    target, base, amount = operation.target, operation.base, operation.amount
    if target == RSP:
        # Another stack, by hand (`mov thread_sp(%rsi), %rsp`): it is taken to be like this one.
        return None, state._replace(switched=True)
    place = _place(state, target)
    if state.drap:
        if base == RBP and target == state.drap_register and amount == state.drap_offset:
            return None, state._replace(base=target, offset=0, drap_offset=0)
        if place == (RBP, amount) and base == RBP:
            return None, _with_place(state, target, None)
        return None, state
    restored = place is not None and (
        (base == state.base and amount == place[1] + state.offset)
        or (base == RSP and amount == place[1] + state.size)
    )
    if restored:
        state = _with_place(state, target, None)
    if target == RBP == state.base:
        # The frame pointer is gone: the CFA is known from rsp again.
        state = state._replace(base=RSP, offset=state.size)
    return None, state


def _move(state: State, operation: Operation) -> tuple[Trouble | None, State]:
    target, source = operation.target, operation.source
    if source == RSP and target == RBP:
        twice = state.base == RBP and not state.drap
        return (SET_UP_TWICE if twice else None), _set_up_frame(state, 0)
    if target == RSP:
        return _move_to_stack_pointer(state, source)
    if source == RSP and state.base == RSP:
        return None, _with_value(state, target, -state.size)
    if target == state.base:
        return UNDEFINED, UNKNOWN
    return None, state


def _set_up_frame(state: State, amount: int) -> State:
    """`mov rsp, rbp` or `lea amount(rsp), rbp`."""
    if state.drap:
        return _with_place(state, RBP, (RBP, -state.size))
    if state.base != RSP:
        return state
    if _place(state, RBP) == (CFA, amount - state.offset):
        return state._replace(base=RBP, offset=state.offset - amount)
    return _with_value(state, RBP, amount - state.size)


def _move_to_stack_pointer(state: State, source: int) -> tuple[Trouble | None, State]:
    if source == RBP == state.base:
        # rsp now points where rbp does: CFA - offset.
        return None, state._replace(size=state.offset)
    value = _value(state, source)
    if value is not None:
        size = -value
        offset = size if state.base == RSP else state.offset
        return None, state._replace(size=size, offset=offset)
    if state.base != RSP:
        return None, state
    return UNDEFINED, UNKNOWN


def _add(state: State, operation: Operation) -> tuple[Trouble | None, State]:
    target, source, amount = operation.target, operation.source, operation.amount
    if target == source == RSP:
        size = state.size - amount
        if abs(size) > _MOST_SIZE:
            return MODIFIED, UNKNOWN
        offset = state.offset - amount if state.base == RSP else state.offset
        return None, state._replace(size=size, offset=offset)
    if target == RSP:
        return _add_to_stack_pointer(state, source, amount)
    if source == RSP and target == RBP and not state.drap:
        return None, _set_up_frame(state, amount)
    if source == RSP and state.base == RSP:
        held = _with_value(state, target, amount - state.size)
        return None, held._replace(drap_register=target)
    if target == state.base:
        return MODIFIED, UNKNOWN
    return None, state


def _add_to_stack_pointer(state: State, source: int, amount: int) -> tuple[Trouble | None, State]:
    """`lea amount(source), rsp`."""
    if source == RBP and state.base == RBP:
        return None, state._replace(size=state.offset - amount)
    if source == RBP and state.drap:
        place = _place(state, RBP)
        return None, state._replace(size=-(amount + (place[1] if place else 0)))
    if state.drap and source == state.drap_register:
        # The realigned frame is gone.
        return None, state._replace(
            base=RSP, offset=-amount, size=-amount, drap=False, drap_register=NO_REGISTER
        )
    value = _value(state, source)
    if value is not None and state.base == RSP:
        size = -(value + amount)
        return None, state._replace(size=size, offset=size)
    if state.base == RSP:
        return MODIFIED, UNKNOWN
    return None, state


def _align(state: State, operation: Operation) -> tuple[Trouble | None, State]:
    if operation.target != RSP:
        return None, state
    if state.drap_register != NO_REGISTER and state.base == RSP:
        value = _value(state, state.drap_register)
        if value == 0:
            known = state.drap_register in _ARGUMENT_POINTERS
            return (None if known else UNKNOWN_BASE), state._replace(
                base=state.drap_register, offset=0, size=0, drap=True, values=()
            )
    if state.base == RBP:
        return None, state
    return REALIGNED, UNKNOWN


def _leave(state: State) -> tuple[Trouble | None, State]:
    if state.drap:
        if state.base != state.drap_register:
            return LEFT, UNKNOWN
        place = _place(state, RBP)
        size = -(place[1] if place else 0) - 8
        return None, _with_place(state._replace(size=size), RBP, None)
    if state.base != RBP:
        return LEFT, UNKNOWN
    # rsp = rbp, then pop rbp.
    state = state._replace(size=state.offset)
    if _place(state, RBP) == (CFA, -state.size):
        state = _with_place(state, RBP, None)
    size = state.size - 8
    return None, state._replace(base=RSP, offset=size, size=size)


def _enter(state: State, operation: Operation) -> tuple[Trouble | None, State]:
    pushed = _push(state, Operation(Op.PUSH, source=RBP, amount=8))
    framed = _set_up_frame(pushed, 0)
    return None, framed._replace(size=framed.size + operation.amount)


def _clobber(state: State, operation: Operation) -> tuple[Trouble | None, State]:
    if operation.target == state.base or RSP == operation.source == state.base:
        return MODIFIED, UNKNOWN
    return None, state
