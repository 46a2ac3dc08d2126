"""The fields of exits that have no decoding of their own: names and values, by reason.

Layouts: struct kvm_run of <linux/kvm.h> and Documentation/virt/kvm/api.rst, section 5, up to
Linux 6.19. Offsets count from the start of the union.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from kdash.backends.kvm.facts import ExitReason


class Field(NamedTuple):
    """One value of an exit."""

    name: str
    offset: int
    format: str  # of struct, little-endian


def _in_order(layout: str) -> tuple[Field, ...]:
    """Fields one behind the other, aligned as in C: "name:format ..."; "_" is padding."""
    fields = []
    at = 0
    for word in layout.split():
        name, _, code = word.partition(":")
        size = struct.calcsize(f"<{code}")
        at = -(-at // size) * size
        if name != "_":
            fields.append(Field(name, at, code))
        at += size
    return tuple(fields)


def _words(stem: str, count: int) -> str:
    return " ".join(f"{stem}{number}:Q" for number in range(count))


_FIELDS: Final[dict[ExitReason, tuple[Field, ...]]] = {
    reason: _in_order(layout)
    for reason, layout in {
        ExitReason.UNKNOWN: "hardware_exit_reason:Q",
        ExitReason.EXCEPTION: "exception:I error_code:I",
        ExitReason.HYPERCALL: f"nr:Q {_words('arg', 6)} ret:Q longmode:I",
        ExitReason.TPR_ACCESS: "rip:Q is_write:I",
        ExitReason.S390_SIEIC: "icptcode:B ipa:H ipb:I",
        ExitReason.S390_RESET: "flags:Q",
        ExitReason.DCR: "dcrn:I data:I is_write:B",
        ExitReason.OSI: _words("gpr", 32),
        ExitReason.PAPR_HCALL: f"nr:Q ret:Q {_words('arg', 9)}",
        ExitReason.S390_UCONTROL: "trans_exc_code:Q pgm_code:I",
        ExitReason.S390_TSCH: (
            "subchannel_id:H subchannel_nr:H io_int_parm:I io_int_word:I ipb:I dequeued:B"
        ),
        ExitReason.EPR: "epr:I",
        ExitReason.S390_STSI: "addr:Q ar:B _:B fc:B sel1:B sel2:H",
        ExitReason.IOAPIC_EOI: "vector:B",
        ExitReason.HYPERV: f"type:I _:I {_words('value', 4)}",
        ExitReason.ARM_NISV: "esr_iss:Q fault_ipa:Q",
        ExitReason.XEN: f"type:I longmode:I cpl:I _:I input:Q result:Q {_words('param', 6)}",
        ExitReason.RISCV_SBI: f"extension_id:Q function_id:Q {_words('arg', 6)} ret0:Q ret1:Q",
        ExitReason.RISCV_CSR: "csr_num:Q new_value:Q write_mask:Q ret_value:Q",
        ExitReason.NOTIFY: "flags:I",
        ExitReason.LOONGARCH_IOCSR: "phys_addr:Q data:Q len:I is_write:B",
        ExitReason.MEMORY_FAULT: "flags:Q gpa:Q size:Q",
        ExitReason.TDX: f"flags:Q nr:Q {_words('value', 4)}",
        ExitReason.ARM_SEA: "flags:Q esr:Q gva:Q gpa:Q",
    }.items()
}


def fields_of(reason: int, union: bytes) -> tuple[tuple[str, int], ...]:
    """Names and values of an exit's fields; empty for a reason that has none.

    Args:
        reason: KVM_EXIT_*.
        union: the head of kvm_run's union; fields beyond its end are left out.
    """
    known = _FIELDS.get(reason, ())  # type: ignore[call-overload] # an int that is no member has none
    return tuple(
        (field.name, struct.unpack_from(f"<{field.format}", union, field.offset)[0])
        for field in known
        if field.offset + struct.calcsize(f"<{field.format}") <= len(union)
    )
