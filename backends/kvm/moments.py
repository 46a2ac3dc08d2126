"""A state of a guest to look at, live or recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kdash.backends.kvm.facts import Registers

#: Reads guest memory by linear address, shorter where it ends.
Read = Callable[[int, int], bytes]


class Moment(NamedTuple):
    """Registers of a VCPU, and the memory beside them."""

    registers: Registers
    read: Read
