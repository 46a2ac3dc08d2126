"""The target description gdb gets: one x86-64 for all modes, so that it survives switches.

Sources: the GDB manual, appendix G "Target Descriptions", section "i386 Features" (names,
order and sizes of the registers gdb knows); bit names of the Intel SDM vol. 3A, 2.3 and 2.5
and vol. 1, 3.4.3. Segment bases and control registers are features of our own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

CORE: Final = "org.gnu.gdb.i386.core"
SSE: Final = "org.gnu.gdb.i386.sse"
SEGMENTS: Final = "org.gnu.gdb.i386.segments"
SYSTEM: Final = "org.kdash.i386.system"

GENERAL: Final = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
    *(f"r{number}" for number in range(8, 16)),
)  # fmt: skip
SELECTORS: Final = ("cs", "ss", "ds", "es", "fs", "gs")
FPU_CONTROLS: Final = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
CONTROLS: Final = ("cr0", "cr2", "cr3", "cr4", "cr8", "efer")
#: Shown by the names of their low 32 bits: gdb takes `set $efer = 0x100` for no more than those.
HALVES: Final = ("cr0", "cr4", "efer")

_EFLAGS: Final = {
    "CF": 0, "PF": 2, "AF": 4, "ZF": 6, "SF": 7, "TF": 8, "IF": 9, "DF": 10, "OF": 11,
    "NT": 14, "RF": 16, "VM": 17, "AC": 18, "VIF": 19, "VIP": 20, "ID": 21,
}  # fmt: skip
_CR0: Final = {
    "PE": 0, "MP": 1, "EM": 2, "TS": 3, "ET": 4, "NE": 5, "WP": 16, "AM": 18, "NW": 29,
    "CD": 30, "PG": 31,
}  # fmt: skip
_CR4: Final = {
    "VME": 0, "PVI": 1, "TSD": 2, "DE": 3, "PSE": 4, "PAE": 5, "MCE": 6, "PGE": 7, "PCE": 8,
    "OSFXSR": 9, "OSXMMEXCPT": 10, "UMIP": 11, "LA57": 12, "VMXE": 13, "SMXE": 14,
    "FSGSBASE": 16, "PCIDE": 17, "OSXSAVE": 18, "SMEP": 20, "SMAP": 21, "PKE": 22, "CET": 23,
    "PKS": 24,
}  # fmt: skip
_EFER: Final = {"SCE": 0, "LME": 8, "LMA": 10, "NXE": 11}
_MXCSR: Final = {
    "IE": 0, "DE": 1, "ZE": 2, "OE": 3, "UE": 4, "PE": 5, "DAZ": 6, "IM": 7, "DM": 8, "ZM": 9,
    "OM": 10, "UM": 11, "PM": 12, "FZ": 15,
}  # fmt: skip
_VECTOR: Final = (
    ("v4_float", "ieee_single", 4),
    ("v2_double", "ieee_double", 2),
    ("v16_int8", "int8", 16),
    ("v8_int16", "int16", 8),
    ("v4_int32", "int32", 4),
    ("v2_int64", "int64", 2),
)


@dataclass(frozen=True, slots=True)
class TargetRegister:
    """A register as gdb sees it; its number is its place in REGISTERS."""

    name: str
    bits: int
    type: str
    feature: str

    @property
    def size(self) -> int:
        """Bytes in a `g` packet."""
        return self.bits // 8


def _registers() -> Iterator[TargetRegister]:
    pointers = {"rbp": "data_ptr", "rsp": "data_ptr"}
    for name in GENERAL:
        yield TargetRegister(name, 64, pointers.get(name, "int64"), CORE)
    yield TargetRegister("rip", 64, "code_ptr", CORE)
    yield TargetRegister("eflags", 32, "i386_eflags", CORE)
    for name in SELECTORS:
        yield TargetRegister(name, 32, "int32", CORE)
    for number in range(8):
        yield TargetRegister(f"st{number}", 80, "i387_ext", CORE)
    for name in FPU_CONTROLS:
        yield TargetRegister(name, 32, "int", CORE)
    for number in range(16):
        yield TargetRegister(f"xmm{number}", 128, "vec128", SSE)
    yield TargetRegister("mxcsr", 32, "i386_mxcsr", SSE)
    for name in ("fs", "gs"):
        yield TargetRegister(f"{name}_base", 64, "int", SEGMENTS)
    for name in ("cs", "ss", "ds", "es"):
        yield TargetRegister(f"{name}_base", 64, "int64", SYSTEM)
    for name in CONTROLS:
        if name in HALVES:
            yield TargetRegister(name, 32, f"kdash_{name}", SYSTEM)
        else:
            yield TargetRegister(name, 64, "int64", SYSTEM)


#: In the order of the `g` packet.
REGISTERS: Final = tuple(_registers())
NUMBERS: Final = {register.name: number for number, register in enumerate(REGISTERS)}


@cache
def target_xml() -> str:
    """The document target.xml."""
    features = (
        (CORE, _flags("i386_eflags", 4, _EFLAGS)),
        (SSE, _vector() + _flags("i386_mxcsr", 4, _MXCSR)),
        (SEGMENTS, ""),
        (
            SYSTEM,
            _flags("kdash_cr0", 4, _CR0)
            + _flags("kdash_cr4", 4, _CR4)
            + _flags("kdash_efer", 4, _EFER),
        ),
    )
    return (
        '<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n'
        '<target version="1.0">\n<architecture>i386:x86-64</architecture>\n'
        + "".join(_feature(name, types) for name, types in features)
        + "</target>\n"
    )


def _feature(name: str, types: str) -> str:
    registers = "".join(
        f'<reg name="{one.name}" bitsize="{one.bits}" type="{one.type}" regnum="{number}"'
        f"{_group(one)}/>\n"
        for number, one in enumerate(REGISTERS)
        if one.feature == name
    )
    return f'<feature name="{name}">\n{types}{registers}</feature>\n'


def _group(register: TargetRegister) -> str:
    """A group of its own keeps them out of nothing: `info registers` shows system ones too."""
    if register.name in FPU_CONTROLS:
        return ' group="float"'
    return ' group="vector"' if register.name == "mxcsr" else ""


def _flags(name: str, size: int, bits: dict[str, int]) -> str:
    fields = "".join(
        f'<field name="{bit}" start="{start}" end="{start}"/>' for bit, start in bits.items()
    )
    return f'<flags id="{name}" size="{size}">{fields}</flags>\n'


def _vector() -> str:
    kinds = "".join(
        f'<vector id="{name}" type="{kind}" count="{count}"/>\n' for name, kind, count in _VECTOR
    )
    fields = "".join(f'<field name="{name}" type="{name}"/>' for name, _, _ in _VECTOR)
    return f'{kinds}<union id="vec128">{fields}<field name="uint128" type="uint128"/></union>\n'
