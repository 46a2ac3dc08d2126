"""Stack state: where the canonical frame address is and which registers are saved where.

The canonical frame address (CFA) is the value rsp had before the call instruction pushed the
return address (DWARF 5, section 6.4). The state at a function's entry is CFA = rsp+8, nothing
saved. States are immutable and interned: the walk compares and passes small integers.
"""

from __future__ import annotations

from typing import NamedTuple

REGISTERS = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
)
RSP = 4
RBP = 5
NO_REGISTER = -1
INDIRECT_RBP = 16  # the CFA is stored in memory at rbp+offset
CFA = 17  # base of a saved register's slot
INDIRECT_RSP = 18  # the CFA is stored in memory at rsp, plus offset
NO_BASE = 19  # nobody says where the CFA is
CALLEE_SAVED = (3, 5, 12, 13, 14, 15)  # System V ABI for AMD64, section 3.2.1
SLOT = {register: slot for slot, register in enumerate(CALLEE_SAVED)}

Place = tuple[int, int]  # base (CFA or RBP) and offset in bytes


class State(NamedTuple):
    """What is known of the stack before an instruction."""

    base: int = RSP  # register the CFA is computed from
    offset: int = 8  # CFA = base + offset
    size: int = 8  # bytes between the CFA and rsp
    saved: tuple[Place | None, ...] = (None,) * 6  # by CALLEE_SAVED
    drap: bool = False  # the stack is realigned; a register holds the CFA
    drap_register: int = NO_REGISTER
    drap_offset: int = 0  # rbp-relative place of the saved DRAP register, 0: not saved
    values: tuple[Place, ...] = ()  # registers that hold CFA + offset: (register, offset)
    registers: bool = False  # an interrupted context's registers lie at base + offset (hints)
    switched: bool = False  # rsp was loaded from memory: registers follow from there
    direction: bool = False  # DF is set
    uaccess: bool = False  # AC is set: user memory is open (followed on demand)
    uaccess_stack: tuple[bool, ...] = ()  # AC in the flags that were pushed, the oldest first
    uaccess_safe: bool = False  # the function is one that runs with AC set
    unknown: bool = False  # a finding made the state worthless: nothing is checked any more


ENTRY = State()
UNKNOWN = State(unknown=True)


def is_unmodified(state: State) -> bool:
    """Whether the stack is as it was at the function's entry."""
    return (
        state.base == RSP
        and state.offset == 8
        and state.size == 8
        and not state.drap
        and not state.registers
        and not any(state.saved)
    )


def has_frame(state: State) -> bool:
    """Whether rbp is saved and set up as the frame pointer."""
    place = state.saved[SLOT[RBP]]
    if place is None:
        return False
    if state.drap:
        return place[0] == RBP
    return state.base == RBP and place == (CFA, -state.offset)


def match_key(state: State) -> tuple[object, ...]:
    """What must be equal when two paths meet."""
    drap = (state.drap_register, state.drap_offset) if state.drap else None
    return (state.base, state.offset, state.saved, drap, state.registers)


def flags_of(state: State) -> tuple[bool, bool]:
    """What may differ where paths meet; code is then walked once for each."""
    return (state.direction, state.uaccess)


def may_return(state: State) -> bool:
    """Whether a return (of a function) with this state is as it should be."""
    return (
        is_unmodified(state) and not state.direction and state.uaccess == state.uaccess_safe
    ) or state.unknown


def describe(state: State) -> str:
    """One line for people: `CFA is rbp+16, rbp saved at CFA-16`."""
    if state.unknown:
        return "unknown"
    if state.base == NO_BASE:
        parts = ["CFA is undefined"]
    elif state.switched and state.base == RSP:
        parts = ["CFA is unknown: rsp was loaded from memory"]
    elif state.registers:
        parts = [f"registers are stored at {_base(state.base)}{state.offset:+d}"]
    elif state.base == INDIRECT_RBP:
        parts = [f"CFA is stored at rbp{state.offset:+d}"]
    elif state.base == INDIRECT_RSP:
        parts = [f"CFA is [rsp]{state.offset:+d}"]
    else:
        parts = [f"CFA is {REGISTERS[state.base]}{state.offset:+d}"]
    saved = [
        (place[1], f"{REGISTERS[register]} saved at {_base(place[0])}{place[1]:+d}")
        for register, place in zip(CALLEE_SAVED, state.saved, strict=True)
        if place is not None
    ]
    parts += [text for _, text in sorted(saved, key=lambda pair: -pair[0])]
    if state.drap and state.base != state.drap_register:
        parts.append(f"{REGISTERS[state.drap_register]} realigned the stack")
    if state.direction:
        parts.append("direction flag set")
    if state.uaccess:
        parts.append("user access open")
    return ", ".join(parts)


_NAMES = {CFA: "CFA", INDIRECT_RBP: "[rbp]", INDIRECT_RSP: "[rsp]", NO_BASE: "nowhere"}


def _base(base: int) -> str:
    return _NAMES[base] if base in _NAMES else REGISTERS[base]


FRAME_TEXT = describe(State(RBP, 16, 16, (None, (CFA, -16), None, None, None, None)))
ENTRY_TEXT = describe(ENTRY)


class StateTable:
    """Interned states, and what the walk asks of each, by their number."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.match: list[int] = []  # equal numbers: the states may meet
        self.unmodified: list[bool] = []
        self.framed: list[bool] = []
        self.flags: list[int] = []  # equal numbers: equal flags
        self.may_return: list[bool] = []
        self.steps: list[dict[int, int]] = []  # by state: operation -> next state (transition.py)
        self._numbers: dict[State, int] = {}
        self._matches: dict[tuple[object, ...], int] = {}
        self._flags: dict[tuple[object, ...], int] = {}
        self.entry = self.number(ENTRY)
        self.unknown = self.number(UNKNOWN)

    def number(self, state: State) -> int:
        """The number of a state, a new one if it was never seen."""
        known = self._numbers.get(state)
        if known is not None:
            return known
        number = len(self.states)
        self._numbers[state] = number
        self.states.append(state)
        self.match.append(self._matches.setdefault(match_key(state), len(self._matches)))
        self.unmodified.append(is_unmodified(state) or state.unknown)
        self.framed.append(has_frame(state) or state.unknown)
        self.flags.append(self._flags.setdefault(flags_of(state), len(self._flags)))
        self.may_return.append(may_return(state))
        self.steps.append({})
        return number
