"""BIOS images: the ROM of a PC, entered at the processor's reset vector.

Sources: Intel SDM vol. 3A, 10.1.4 (first instruction); Intel 440FX PCIset data sheet, 3.2.18
(the BIOS's alias below 1 MiB, RAM once it is shadowed).
"""

from __future__ import annotations

from typing import Final

from kdash.backends.kvm.facts import GuestError, Mode
from kdash.backends.kvm.guests import Guest, Part, check_guest, memory_for
from kdash.backends.kvm.layout import EXTENDED, Region
from kdash.backends.kvm.symbols import Symbols

SMALLEST: Final = 64 << 10
LARGEST: Final = 16 << 20
#: What of an image is seen below 1 MiB at most; under it is the video BIOS.
SHADOW: Final = 256 << 10
VECTOR: Final = 16  # bytes from the reset vector to the image's end
RESET_IP: Final = 0xFFF0
_TOP: Final = 1 << 32
_JUMP_FAR, _JUMP_NEAR, _JUMP_SHORT = 0xEA, 0xE9, 0xEB
#: What may stand before the jump: nop, cli, cld, and wbinvd's two bytes.
_BEFORE: Final = (0x90, 0xFA, 0xFC, 0x0F, 0x09)


def is_bios(data: bytes) -> bool:
    """Whether this has a ROM's size and jumps from its last 16 bytes back into itself."""
    if not SMALLEST <= len(data) <= LARGEST or len(data) % SMALLEST:
        return False
    vector = data[-VECTOR:].lstrip(bytes(_BEFORE))
    if vector[:1] == bytes((_JUMP_FAR,)):
        return vector[3:5] == b"\x00\xf0"  # to segment 0xf000
    place = RESET_IP + VECTOR - len(vector)
    if vector[:1] == bytes((_JUMP_NEAR,)) and len(vector) >= 3:
        target = place + 3 + int.from_bytes(vector[1:3], "little", signed=True)
    elif vector[:1] == bytes((_JUMP_SHORT,)) and len(vector) >= 2:
        target = place + 2 + int.from_bytes(vector[1:2], "little", signed=True)
    else:
        return False
    return 0 <= target < RESET_IP


def bios_guest(
    data: bytes, title: str, *, memory: int | None = None, symbols: Symbols | None = None
) -> Guest:
    """A guest that starts a BIOS image: ROM below 4 GiB, a copy of its end below 1 MiB.

    The copy is RAM, as a BIOS that shadows itself expects to find it.

    Args:
        data: the whole image, 64 KiB to 16 MiB in multiples of 64 KiB.
        title: what to call it.
        memory: bytes of RAM, at least 1 MiB; 17 MiB unless given.
        symbols: names of its addresses.

    Raises:
        GuestError: when it has another size, or can't be started like this.
    """
    if not SMALLEST <= len(data) <= LARGEST or len(data) % SMALLEST:
        raise GuestError(
            f"{title}: {len(data)} bytes are no BIOS image; one has 64K to 16M in multiples of 64K"
        )
    size = memory_for(EXTENDED, memory)
    if size < EXTENDED:
        raise GuestError(f"{title}: a BIOS needs at least 1 MiB of memory (--memory 1M)")
    shadow = data[-SHADOW:]
    guest = Guest(
        title,
        b"",
        Mode.REAL,
        load=EXTENDED - len(shadow),
        entry=RESET_IP,
        memory=size,
        parts=(Part(EXTENDED - len(shadow), shadow),),
        roms=(Region(_TOP - len(data), len(data), readonly=True, data=data),),
        symbols=symbols or Symbols(),
        reset=True,
        startup_ipi=True,
    )
    check_guest(guest)
    return guest
