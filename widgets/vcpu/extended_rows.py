"""x87, SSE and AVX registers as rows."""

from __future__ import annotations

from collections.abc import Iterator

from kdash.backends.kvm.state_facts import ExtendedState
from kdash.widgets.vcpu.numbers import TYPES, elements, x87
from kdash.widgets.vcpu.state_row import StateRow

# Intel SDM vol. 1, 8.1.3 and 10.2.3: exceptions, by their bits in FSW and MXCSR.
EXCEPTIONS = ((0, "IE"), (1, "DE"), (2, "ZE"), (3, "OE"), (4, "UE"), (5, "PE"))
STATUS = (
    *EXCEPTIONS, (6, "SF"), (7, "ES"), (8, "C0"), (9, "C1"), (10, "C2"), (14, "C3"), (15, "B"),
)  # fmt: skip
MXCSR = (*EXCEPTIONS, (6, "DAZ"), (15, "FZ"))
ROUNDING = ("nearest", "down", "up", "to zero")
PRECISION = ("24 bits", "?", "53 bits", "64 bits")
VECTORS = {16: "xmm", 32: "ymm", 64: "zmm"}


def extended_rows(state: ExtendedState, form: str = "u32") -> list[StateRow]:
    """All of it; `form` of `numbers.TYPES` says how vector registers are shown."""
    rows = [*_x87(state), *_sse(state, form)]
    if state.note:
        rows.append(StateRow("missing", "AVX", "-", state.note, "warning"))
    return rows


def _set(bits: tuple[tuple[int, str], ...], value: int) -> str:
    return " ".join(name for bit, name in bits if value >> bit & 1)


def _masks(value: int) -> str:
    """Names of the exceptions that are not masked."""
    unmasked = " ".join(name for bit, name in EXCEPTIONS if not value >> bit & 1)
    return f"unmasked {unmasked}" if unmasked else "all exceptions masked"


def _x87(state: ExtendedState) -> Iterator[StateRow]:
    for place, data in enumerate(state.stack):
        physical = (state.top + place) % 8
        used = bool(state.tag >> physical & 1)
        raw = f"{int.from_bytes(data[8:], 'little'):04x} {int.from_bytes(data[:8], 'little'):016x}"
        value = x87(data) if used or any(data) else "empty"
        meaning = f"r{physical} {raw}" if used or any(data) else f"r{physical}"
        if not used and any(data):
            meaning += " empty"
        yield StateRow("x87", f"st{place}", value, meaning, "" if used else "muted")
    control = state.control
    how = f"{PRECISION[control >> 8 & 3]}, round {ROUNDING[control >> 10 & 3]}, {_masks(control)}"
    yield StateRow("x87", "control", f"{control:04x}", how)
    status = f"top {state.top} {_set(STATUS, state.status)}".strip()
    yield StateRow("x87", "status", f"{state.status:04x}", status)
    count = state.tag.bit_count()
    yield StateRow("x87", "tags", f"{state.tag:02x}", f"{count} of 8 in use")
    last = f"opcode {state.opcode:03x}, operand at {state.dp:x}"
    yield StateRow("x87", "last", f"{state.ip:x}", last)


def _sse(state: ExtendedState, form: str) -> Iterator[StateRow]:
    if state.mxcsr is not None:
        how = f"round {ROUNDING[state.mxcsr >> 13 & 3]}, {_masks(state.mxcsr >> 7)}"
        flags = _set(MXCSR, state.mxcsr)
        meaning = f"{flags}, {how}" if flags else how
        yield StateRow("sse", "mxcsr", f"{state.mxcsr:08x}", meaning)
    prefix = VECTORS[state.vector_bytes]
    for number, data in enumerate(state.vectors):
        name = f"{prefix}{number}"
        detail = "\n".join(f"{one:<4}{' '.join(elements(data, one))}" for one in TYPES)
        value = " ".join(elements(data, form))
        tone = "" if any(data) else "muted"
        yield StateRow(prefix, name, value, "", tone, f"{name}, lowest element first\n{detail}")
    for number, mask in enumerate(state.opmasks):
        yield StateRow("opmask", f"k{number}", f"{mask:016x}", "", "" if mask else "muted")
