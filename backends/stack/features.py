"""Names of CPU features by their number, for those that alternatives are made for.

Numbers are word * 32 + bit of arch/x86/include/asm/cpufeatures.h (6.1).
"""

from __future__ import annotations

_NAMES = {
    (0, 25): "XMM",
    (0, 26): "XMM2",
    (1, 29): "LM",
    (3, 16): "REP_GOOD",
    (3, 21): "ALWAYS",
    (4, 0): "XMM3",
    (4, 23): "POPCNT",
    (4, 26): "XSAVE",
    (4, 30): "RDRAND",
    (7, 11): "PTI",
    (7, 12): "RETPOLINE",
    (7, 13): "RETPOLINE_LFENCE",
    (8, 15): "VMMCALL",
    (8, 16): "XENPV",
    (9, 0): "FSGSBASE",
    (9, 9): "ERMS",
    (9, 10): "INVPCID",
    (9, 18): "RDSEED",
    (9, 20): "SMAP",
    (9, 23): "CLFLUSHOPT",
    (9, 24): "CLWB",
    (10, 0): "XSAVEOPT",
    (10, 1): "XSAVEC",
    (10, 3): "XSAVES",
    (18, 4): "FSRM",
}


def feature_name(number: int) -> str:
    """`X86_FEATURE_SMAP`, or word and bit for one that has no name here."""
    word, bit = divmod(number, 32)
    known = _NAMES.get((word, bit))
    return f"X86_FEATURE_{known}" if known else f"feature {word}*32+{bit}"
