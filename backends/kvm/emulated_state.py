"""The processor state inside unicorn: read and written as a whole.

Unicorn's registers by number leave out the hidden parts of segments, so they are taken
from a saved context: the head of QEMU's CPUX86State (target/i386/cpu.h, as in unicorn 2.1),
whose layout `check_layout` verifies.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any, Final

from kdash.backends.kvm.facts import KvmError, Mode, Registers, Segment
from kdash.backends.kvm.modes import (
    CODE,
    CR0_LONG,
    CR0_PROTECTED,
    CR4_LONG,
    EFER_LONG,
    GDT,
    TABLES,
)
from kdash.backends.kvm.registers import SEGMENTS

#: CR0 at reset (Intel SDM vol. 3A, table 10-1).
CR0_RESET: Final = 0x6000_0010

_HEAD: Final = 40  # bytes of unicorn's own before CPUX86State
_EIP: Final = _HEAD + 16 * 8
_HFLAGS: Final = _HEAD + 22 * 8
_SEGMENTS: Final = _HEAD + 23 * 8  # es, cs, ss, ds, fs, gs
_TABLES: Final = {name: _HEAD + word * 8 for name, word in (("ldt", 41), ("tr", 44), ("gdt", 47))}
_GDT: Final = _TABLES["gdt"]
_IDT: Final = _HEAD + 50 * 8
_CONTROLS: Final = _HEAD + 53 * 8  # cr0 to cr4
_CR2: Final = _CONTROLS + 2 * 8
_EFER: Final = 632
_ERROR_CODE: Final = 5424
_IS_INT: Final = 5428  # the exception is that of an INT instruction
_DEBUG: Final = 5440  # dr0 to dr7
_IN_FLIGHT: Final = 5536  # the exception being delivered, -1 for none
_SEGMENT: Final = struct.Struct("<I4xQII")
_TABLE: Final = struct.Struct("<8xQI4x")
_ORDER: Final = ("es", "cs", "ss", "ds", "fs", "gs")
_GENERAL: Final = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)), "rip",
)  # fmt: skip

# Flags of a segment: the second word of its descriptor (Intel SDM vol. 3A, 3.4.5).
_CODE_16: Final = 0x9B << 8
_DATA_16: Final = 0x93 << 8
_LONG, _BIG, _PAGES = 1 << 21, 1 << 22, 1 << 23

# Hidden flags (HF_* of target/i386/cpu.h).
_CS32, _SS32, _ADDSEG, _PE, _MP, _LMA, _CS64 = (1 << bit for bit in (4, 5, 6, 7, 9, 14, 15))
_OSFXSR: Final = 1 << 22


class State:
    """A saved context of `uc`; `load` takes it anew, `store` puts it back."""

    def __init__(self, uc: Any) -> None:
        self._uc = uc
        self._context = uc.context_save()
        self.raw = bytearray(bytes(self._context))

    def load(self) -> State:
        """Take the state as it is now."""
        self._uc.context_update(self._context)
        self.raw[:] = bytes(self._context)
        return self

    def store(self) -> None:
        """Make this the processor's state."""
        ctypes.memmove(self._context.context, bytes(self.raw), len(self.raw))
        self._uc.context_restore(self._context)
        flush_translations(self._uc)

    def enter_mode(self, mode: Mode, code: int = CODE) -> None:
        """The state in which a flat guest starts."""
        long, real = mode is Mode.LONG, mode is Mode.REAL
        for name in _ORDER:
            if real:
                self.set_segment(name, 0, 0, 0xFFFF, _CODE_16 if name == "cs" else _DATA_16)
            elif name == "cs":
                size = _LONG if long else _BIG
                self.set_segment(name, code, 0, 0xFFFF_FFFF, _CODE_16 | size | _PAGES)
            else:
                self.set_segment(name, code + 8, 0, 0xFFFF_FFFF, _DATA_16 | _BIG | _PAGES)
        flags = _ADDSEG if real else _PE | _SS32 | _CS32
        controls = (CR0_RESET if real else CR0_PROTECTED, 0, 0, 0, 0)
        if long:
            flags |= _CS64 | _LMA | _MP | _OSFXSR
            controls = (CR0_LONG, 0, 0, TABLES, CR4_LONG)
        struct.pack_into("<I", self.raw, _HFLAGS, flags)
        struct.pack_into("<5Q", self.raw, _CONTROLS, *controls)
        struct.pack_into("<Q", self.raw, _EFER, EFER_LONG if long else 0)
        _TABLE.pack_into(self.raw, _GDT, 0 if real else GDT, _limit(mode, code))
        _TABLE.pack_into(self.raw, _IDT, 0, 0xFFFF if real else 0)
        self.store()

    def set_segment(
        self, name: str, selector: int, base: int, limit: int | None = None, flags: int = 0
    ) -> None:
        """Set a segment; limit and flags stay unless a limit is given."""
        at = _SEGMENTS + _ORDER.index(name) * _SEGMENT.size
        if limit is None:
            _, _, limit, flags = _SEGMENT.unpack_from(self.raw, at)
        _SEGMENT.pack_into(self.raw, at, selector, base, limit, flags)

    def set_general(self, name: str, value: int) -> None:
        """Set a general register or RIP."""
        struct.pack_into("<Q", self.raw, _HEAD + _GENERAL.index(name) * 8, value)

    def set_privilege(self, level: int) -> None:
        """Set the privilege level in protected or long mode, and what follows from CS and SS."""
        (flags,) = struct.unpack_from("<I", self.raw, _HFLAGS)
        code, stack = (self._flags(name) for name in ("cs", "ss"))
        flags = flags & ~(3 | _CS32 | _SS32 | _ADDSEG | _CS64) | level
        if flags & _LMA and code & _LONG:
            flags |= _CS32 | _SS32 | _CS64
        else:
            flags |= (_CS32 if code & _BIG else 0) | (_SS32 if stack & _BIG else 0) | _ADDSEG
        struct.pack_into("<I", self.raw, _HFLAGS, flags)

    def _flags(self, name: str) -> int:
        at = _SEGMENTS + _ORDER.index(name) * _SEGMENT.size
        return int(_SEGMENT.unpack_from(self.raw, at)[3])

    def take_exception(self) -> tuple[int, bool]:
        """Error code of the exception unicorn met, and whether INT made it; it is over then."""
        (error,) = struct.unpack_from("<I", self.raw, _ERROR_CODE)
        (software,) = struct.unpack_from("<i", self.raw, _IS_INT)
        struct.pack_into("<i", self.raw, _IN_FLIGHT, -1)
        return error, bool(software)

    def table(self, name: str) -> tuple[int, int]:
        """Base and limit of "gdt", "ldt" or the task state segment "tr"."""
        return _TABLE.unpack_from(self.raw, _TABLES[name])

    def kind(self, name: str) -> int:
        """The type of the LDT's or task's descriptor."""
        return int(_SEGMENT.unpack_from(self.raw, _TABLES[name])[3]) >> 8 & 0xF

    def selector(self, name: str) -> int:
        """The selector of the LDT or task."""
        return int(_SEGMENT.unpack_from(self.raw, _TABLES[name])[0])

    @property
    def cr2(self) -> int:
        """The address of the latest page fault."""
        return int(struct.unpack_from("<Q", self.raw, _CR2)[0])

    @cr2.setter
    def cr2(self, address: int) -> None:
        struct.pack_into("<Q", self.raw, _CR2, address)

    @property
    def rip(self) -> int:
        """RIP, or IP within CS."""
        return int(struct.unpack_from("<Q", self.raw, _EIP)[0])

    @property
    def idt(self) -> tuple[int, int]:
        """Base and limit of the interrupt descriptor table."""
        return _TABLE.unpack_from(self.raw, _IDT)

    @property
    def privilege(self) -> int:
        """The current privilege level."""
        return int(struct.unpack_from("<I", self.raw, _HFLAGS)[0]) & 3

    def registers(self, rflags: int) -> Registers:
        """Facts of all registers; `rflags` because unicorn keeps them elsewhere."""
        values: dict[str, Any] = dict(
            zip(_GENERAL, struct.unpack_from("<17Q", self.raw, _HEAD), strict=True)
        )
        for name in SEGMENTS:
            at = _SEGMENTS + _ORDER.index(name) * _SEGMENT.size
            values[name] = _segment(*_SEGMENT.unpack_from(self.raw, at))
        cr0, _, cr2, cr3, cr4 = struct.unpack_from("<5Q", self.raw, _CONTROLS)
        (efer,) = struct.unpack_from("<Q", self.raw, _EFER)
        return Registers(**values, rflags=rflags, cr0=cr0, cr2=cr2, cr3=cr3, cr4=cr4, efer=efer)


def flush_translations(uc: Any) -> None:
    """Let unicorn walk the page tables anew."""
    from unicorn import UC_CTL_IO_WRITE, UC_CTL_TLB_FLUSH

    uc.ctl(UC_CTL_TLB_FLUSH, UC_CTL_IO_WRITE)


def _limit(mode: Mode, code: int) -> int:
    return 0xFFFF if mode is Mode.REAL else code + 15


def _segment(selector: int, base: int, limit: int, flags: int) -> Segment:
    return Segment(
        selector=selector,
        base=base,
        limit=limit,
        type=flags >> 8 & 0xF,
        s=flags >> 12 & 1,
        dpl=flags >> 13 & 3,
        present=flags >> 15 & 1,
        l=flags >> 21 & 1,
        db=flags >> 22 & 1,
        g=flags >> 23 & 1,
    )


def check_layout(uc: Any) -> None:
    """Refuse a unicorn whose contexts have another layout.

    Raises:
        KvmError: when what was written is not where it is expected.
    """
    from unicorn import x86_const

    uc.reg_write(x86_const.UC_X86_REG_RAX, 0x1122_3344_5566_7788)
    uc.reg_write(x86_const.UC_X86_REG_RIP, 0x5566_7788_99AA)
    uc.reg_write(x86_const.UC_X86_REG_IDTR, (0, 0x1234_5000, 0xABC, 0))
    uc.reg_write(x86_const.UC_X86_REG_DR0, 0x1357_9BDF)
    state = State(uc)
    found = state.registers(2)
    debug, in_flight = (
        struct.unpack_from(layout, state.raw, at)[0]
        for layout, at in (("<Q", _DEBUG), ("<i", _IN_FLIGHT))
    )
    told = (
        found.rax, found.rip, state.idt, debug, in_flight, found.cr0, found.cr4, found.efer,
    )  # fmt: skip
    reads = (x86_const.UC_X86_REG_CR0, x86_const.UC_X86_REG_CR4)
    wanted = (
        0x1122_3344_5566_7788, 0x5566_7788_99AA, (0x1234_5000, 0xABC), 0x1357_9BDF, -1,
        *(uc.reg_read(register) for register in reads), uc.msr_read(0xC000_0080),
    )  # fmt: skip
    if told != wanted:
        raise KvmError("this version of unicorn keeps registers elsewhere", "install unicorn 2.1")
    uc.reg_write(x86_const.UC_X86_REG_RAX, 0)
    uc.reg_write(x86_const.UC_X86_REG_DR0, 0)
