"""Names of the bits of RFLAGS, the control registers and EFER."""

from __future__ import annotations

# Intel SDM vol. 1, 3.4.3 "EFLAGS Register": bit -> name, most significant first as drawn.
RFLAGS = (
    (21, "id"), (20, "vip"), (19, "vif"), (18, "ac"), (17, "vm"), (16, "rf"), (14, "nt"),
    (11, "of"), (10, "df"), (9, "if"), (8, "tf"), (7, "sf"), (6, "zf"), (4, "af"), (2, "pf"),
    (0, "cf"),
)  # fmt: skip
ALWAYS = frozenset({"of", "df", "if", "tf", "sf", "zf", "af", "pf", "cf"})
IOPL_SHIFT = 12  # two bits

# Intel SDM vol. 3A, 2.5 "Control Registers".
CR0 = (
    (0, "PE"), (1, "MP"), (2, "EM"), (3, "TS"), (4, "ET"), (5, "NE"), (16, "WP"), (18, "AM"),
    (29, "NW"), (30, "CD"), (31, "PG"),
)  # fmt: skip
CR4 = (
    (0, "VME"), (1, "PVI"), (2, "TSD"), (3, "DE"), (4, "PSE"), (5, "PAE"), (6, "MCE"), (7, "PGE"),
    (8, "PCE"), (9, "OSFXSR"), (10, "OSXMMEXCPT"), (11, "UMIP"), (12, "LA57"), (13, "VMXE"),
    (14, "SMXE"), (16, "FSGSBASE"), (17, "PCIDE"), (18, "OSXSAVE"), (20, "SMEP"), (21, "SMAP"),
    (22, "PKE"), (23, "CET"), (24, "PKS"),
)  # fmt: skip
# Intel SDM vol. 3A, 2.2.1 and AMD APM vol. 2, 3.1.7 (SVME and above).
EFER = (
    (0, "SCE"), (8, "LME"), (10, "LMA"), (11, "NXE"), (12, "SVME"), (13, "LMSLE"), (14, "FFXSR"),
)  # fmt: skip

CONTROL = {"cr0": CR0, "cr4": CR4, "efer": EFER}


def set_bits(register: str, value: int) -> tuple[str, ...]:
    """Names of the bits set in control register `register`, empty for one without bits."""
    return tuple(name for bit, name in CONTROL.get(register, ()) if value >> bit & 1)


def flag_names(rflags: int) -> tuple[tuple[str, bool, int], ...]:
    """The flags to draw as (name, set, bit).

    The arithmetic and interrupt flags always, so that each keeps its place; the others when set.
    """
    return tuple(
        (name, bool(rflags >> bit & 1), bit)
        for bit, name in RFLAGS
        if name in ALWAYS or rflags >> bit & 1
    )
