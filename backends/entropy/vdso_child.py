"""The probe that asks the vDSO, run as a process of its own by `vdso.VdsoChild`.

It answers each line on standard input with a line of JSON, and ends with its input. Source of the
layout: Linux 6.11 on, include/vdso/getrandom.h, struct vgetrandom_state (a batch of 96 bytes, a
key of 32, the generation, then two bytes) and struct vgetrandom_opaque_params in
include/uapi/linux/random.h; calling convention: arch/x86/entry/vdso/vgetrandom.c.
"""

from __future__ import annotations

import ctypes
import io
import json
import mmap
import sys
from contextlib import suppress

from kdash.backends.entropy.latency import LatencyWindow
from kdash.backends.entropy.procfs import NOT_ON_THIS_KERNEL
from kdash.backends.entropy.stream_watch import StreamWatch
from kdash.backends.entropy.vdso_image import GETRANDOM_SYMBOL, read_vdso

_STATE_BYTES = 144
_GENERATION_OFFSET = 128
_SAMPLE_BYTES = 16
_PR_SET_NAME = 15  # include/uapi/linux/prctl.h
_TESTED_FROM = 5  # samples after which the stream is tested
_TRIES = 3  # the kernel may drop the state's page at any time, which leaves generation 0


class OpaqueParams(ctypes.Structure):
    """What the vDSO tells of the state it wants (struct vgetrandom_opaque_params)."""

    _fields_ = (
        ("size_of_opaque_state", ctypes.c_uint32),
        ("mmap_prot", ctypes.c_uint32),
        ("mmap_flags", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 13),
    )


class NotAvailable(Exception):  # noqa: N818 - an answer, not an error
    """Why there is no generation."""


_PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_uint,
    ctypes.c_void_p,
    ctypes.c_size_t,
)


def symbol_address() -> int:
    """Where __vdso_getrandom lies.

    Raises:
        NotAvailable: The vDSO has no such symbol.
    """
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    image = read_vdso()
    if image is None:
        raise NotAvailable("no vDSO can be read")
    table = ELFFile(io.BytesIO(image.data)).get_section_by_name(".dynsym")
    symbols = (
        table.get_symbol_by_name(GETRANDOM_SYMBOL)
        if isinstance(table, SymbolTableSection)
        else None
    )
    if not symbols:
        raise NotAvailable(NOT_ON_THIS_KERNEL)
    return image.base + int(symbols[0]["st_value"])


class VdsoGetrandom:
    """getrandom in the vDSO, with a state of its own."""

    def __init__(self) -> None:
        """Ask for the parameters and map a state.

        Raises:
            NotAvailable: There is no such function, or its state has an unknown layout.
            OSError: The state can't be mapped.
        """
        self.address = symbol_address()
        self._call = _PROTOTYPE(self.address)
        params = OpaqueParams()
        if self._call(None, 0, 0, ctypes.addressof(params), ctypes.c_size_t(-1).value or 0):
            raise NotAvailable("the vDSO does not tell its parameters")
        if params.size_of_opaque_state != _STATE_BYTES:
            raise NotAvailable(f"unknown state of {params.size_of_opaque_state} bytes")
        self._mapping = mmap.mmap(-1, mmap.PAGESIZE, flags=params.mmap_flags, prot=params.mmap_prot)
        self.state = ctypes.addressof(ctypes.c_char.from_buffer(self._mapping))
        self._buffer = ctypes.create_string_buffer(_SAMPLE_BYTES)

    def generation(self) -> int:
        """The generation of the key the state holds after a call.

        Raises:
            NotAvailable: The call is refused, or leaves no generation.
        """
        for _ in range(_TRIES):
            given = self._call(self._buffer, _SAMPLE_BYTES, 0, self.state, _STATE_BYTES)
            if given < 0:
                raise NotAvailable(f"the vDSO refuses with errno {-given}")
            generation = ctypes.c_uint64.from_address(self.state + _GENERATION_OFFSET).value
            if generation:
                return generation
        raise NotAvailable("the vDSO keeps no generation")


def main() -> int:
    """Answer until the input ends."""
    with suppress(OSError, AttributeError):  # so that whoever traces calls knows whose these are
        ctypes.CDLL(None).prctl(_PR_SET_NAME, b"kdash-probe")
    missing = latency_missing = ""
    vdso: VdsoGetrandom | None = None
    window: LatencyWindow | None = None
    try:
        vdso = VdsoGetrandom()
    except (NotAvailable, OSError) as error:
        missing = str(error)
    try:
        window = LatencyWindow(vdso.address, vdso.state, _STATE_BYTES) if vdso else LatencyWindow()
    except ImportError:
        latency_missing = "the native part is not built"
    stream: StreamWatch | None = None
    for asked, _ in enumerate(sys.stdin, 1):
        answer: dict[str, object] = {}
        try:
            if vdso:
                answer["generation"] = vdso.generation()
        except NotAvailable as error:
            missing = str(error)
        answer |= {"missing": missing, "latency_missing": latency_missing}
        if window:
            answer["latency"] = window.sample()
            answer["costs"] = window.costs()
        if stream:
            with suppress(OSError):
                answer["stream"] = stream.sample()
        try:
            print(json.dumps(answer), flush=True)  # noqa: T201
        except BrokenPipeError:
            return 0
        if asked == _TESTED_FROM:  # numpy takes its time: between two samples
            with suppress(ImportError, OSError):
                stream = StreamWatch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
