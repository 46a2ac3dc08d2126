"""The state in which a flat guest finds the processor in each mode.

Sources: Intel SDM vol. 3A, 3.4.5 (descriptors), 4.5 (4-level paging), 2.2 (modes).
"""

from __future__ import annotations

import struct
from typing import Any, Final

from kdash.backends.kvm.facts import Mode

GDT: Final = 0x500  # guest-physical; behind the real-mode interrupt vectors and BIOS data
CODE: Final = 0x08
DATA: Final = 0x10

#: CS when the processor comes out of reset (Intel SDM vol. 3A, 10.1.4).
RESET_SELECTOR: Final = 0xF000
RESET_BASE: Final = 0xFFFF_0000

TABLES: Final = 0x10000  # guest-physical: PML4, PDPT, page directory
#: Bytes that the page tables of long mode map, and where a second time.
MAPPED: Final = 1 << 30
HIGH: Final = 0xFFFF_FFFF_8000_0000
TABLES_SIZE: Final = 3 * 0x1000

CR0_PROTECTED: Final = 0x11  # PE, ET
CR0_LONG: Final = 0x8005_0033  # PG, AM, WP, NE, ET, MP, PE
CR4_LONG: Final = 0x220  # OSFXSR, PAE
EFER_LONG: Final = 0x500  # LMA, LME

_CODE_TYPE: Final = 0xB  # execute, read, accessed
_DATA_TYPE: Final = 0x3  # read, write, accessed
_PRESENT_WRITABLE: Final = 0b11
_LARGE: Final = 1 << 7


def page_tables(base: int = TABLES) -> bytes:
    """Three pages for guest-physical `base`: the first GiB at 0 and at -2 GiB, 2 MiB pages."""
    pml4, pdpt = bytearray(0x1000), bytearray(0x1000)
    pointer = struct.pack("<Q", (base + 0x1000) | _PRESENT_WRITABLE)
    directory = struct.pack("<Q", (base + 0x2000) | _PRESENT_WRITABLE)
    pml4[0:8] = pml4[511 * 8 :] = pointer
    pdpt[0:8] = pdpt[510 * 8 : 511 * 8] = directory
    pages = struct.pack("<512Q", *((n << 21) | _LARGE | _PRESENT_WRITABLE for n in range(512)))
    return bytes(pml4 + pdpt) + pages


def descriptors(mode: Mode) -> bytes:
    """The GDT: null, code, data; flat, ring 0."""
    return bytes(8) + flat_descriptors(mode)


def flat_descriptors(mode: Mode) -> bytes:
    """Code and data, which follow each other; flat, ring 0."""
    # limit 15:0, base 15:0, base 23:16, type/S/DPL/P, limit 19:16 and AVL/L/DB/G, base 31:24
    flags = 0xA0 if mode is Mode.LONG else 0xC0
    code = struct.pack("<HHBBBB", 0xFFFF, 0, 0, 0x90 | _CODE_TYPE, flags | 0xF, 0)
    data = struct.pack("<HHBBBB", 0xFFFF, 0, 0, 0x90 | _DATA_TYPE, 0xCF, 0)
    return code + data


def enter_mode(sregs: Any, mode: Mode, code: int = CODE) -> None:
    """Set a `struct kvm_sregs` that KVM gave at reset to the mode's flat state.

    `code` is the code segment's selector; the data segment's is the next.
    """
    if mode is Mode.REAL:
        sregs.cs.base = sregs.cs.selector = 0
        return
    long = mode is Mode.LONG
    _segment(sregs.cs, code, _CODE_TYPE, long)
    for name in ("ds", "es", "fs", "gs", "ss"):
        _segment(getattr(sregs, name), code + 8, _DATA_TYPE, False)
    sregs.gdt.base, sregs.gdt.limit = GDT, code + 15
    sregs.idt.base, sregs.idt.limit = 0, 0
    sregs.cr0 = CR0_LONG if long else CR0_PROTECTED
    if long:
        sregs.cr3, sregs.cr4, sregs.efer = TABLES, CR4_LONG, EFER_LONG


def _segment(segment: Any, selector: int, kind: int, long: bool) -> None:
    segment.base, segment.limit, segment.selector = 0, 0xFFFF_FFFF, selector
    segment.type, segment.present, segment.dpl, segment.s, segment.g = kind, 1, 0, 1, 1
    segment.db, segment.l = (0, 1) if long else (1, 0)
