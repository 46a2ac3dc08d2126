"""What the validator needs to know of a processor: its instructions in neutral form.

Everything behind this interface (events, walk, states, coverage, findings) speaks of jumps,
calls, returns and stack operations. A second architecture is one more module that makes an
`Architecture`, with a line in `_KNOWN`; registers are numbers, whose meaning `state.py` has for
x86-64 (stack pointer, frame pointer, callee-saved ones, names).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Final

import numpy as np
import numpy.typing as npt

from kdash.backends.stack.decode import Code
from kdash.backends.stack.functions import Functions
from kdash.backends.stack.image import Ints, ObjectImage
from kdash.backends.stack.operations import Operation
from kdash.backends.stack.section_headers import EM_X86_64

#: By machine number of the ELF header: the module that holds `ARCHITECTURE`.
_KNOWN: Final = {EM_X86_64: "kdash.backends.stack.x86_64"}


@dataclass(frozen=True, slots=True)
class Architecture:
    """One processor's instructions."""

    machine: int  # e_machine of the ELF header
    #: All executable sections as arrays: starts, lengths, control flow (`codes.py`).
    decode: Callable[[ObjectImage], Code]
    #: Instructions that may change the stack state; with or without those that open user memory.
    stack_operations: Callable[[Code, Functions, bool], Ints]
    #: Instructions besides those that overwrite the frame pointer.
    frame_pointer_writes: Callable[[Code, Ints], Ints]
    #: Stack operations as one number each, equal for equal ones, none below 0x40.
    operation_keys: Callable[[Code, Ints], npt.NDArray[np.uint64]]
    #: What such a number means.
    operation: Callable[[int], Operation]


@cache
def architecture(machine: int) -> Architecture:
    """The architecture of a machine number, which `ObjectImage` has let through."""
    found: Architecture = import_module(_KNOWN[machine]).ARCHITECTURE
    return found
