"""What a user asks CPUID to answer: `--cpuid host|none|LEAF[:SUB].REG=VALUE`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: The value of --cpuid that gives the VCPU all that KVM can offer.
HOST: Final = "host"
#: And the one that takes all leaves away, so that CPUID answers 0.
NONE: Final = "none"
REGISTERS: Final = ("eax", "ebx", "ecx", "edx")
_SETTING: Final = re.compile(
    r"(?P<leaf>0x[0-9a-f]+|\d+)(?::(?P<sub>0x[0-9a-f]+|\d+))?"
    r"\.(?P<register>e[abcd]x)=(?P<value>0x[0-9a-f]+|\d+)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class CpuidSetting:
    """One register of one leaf, set by the user."""

    leaf: int
    subleaf: int | None  # None: the answer does not depend on ECX
    register: str  # one of REGISTERS
    value: int

    @property
    def text(self) -> str:
        """As typed, for messages."""
        sub = "" if self.subleaf is None else f":{self.subleaf:#x}"
        return f"{self.leaf:#x}{sub}.{self.register}={self.value:#x}"


#: What a guest asks for: HOST, NONE or settings, in the order in which they are carried out.
CpuidRequest = CpuidSetting | str


def parse_request(text: str) -> CpuidRequest:
    """What `--cpuid` says: host, none, or LEAF[:SUB].REG=VALUE.

    Raises:
        ValueError: saying what would be right.
    """
    if text.lower() in (HOST, NONE):
        return text.lower()
    found = _SETTING.match(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not host, none or LEAF[:SUB].REG=VALUE, as 1.ecx=0x80000000")
    sub = found["sub"]
    setting = CpuidSetting(
        _integer(found["leaf"]),
        None if sub is None else _integer(sub),
        found["register"].lower(),
        _integer(found["value"]),
    )
    for number in (setting.leaf, setting.subleaf or 0, setting.value):
        if number >> 32:
            raise ValueError(f"{text!r}: {number:#x} has more than 32 bits")
    return setting


def _integer(text: str) -> int:
    return int(text, 16) if text.lower().startswith("0x") else int(text)
