"""Accesses of an emulated VCPU to ports and to where no memory is, given to the bus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

_PAGE: Final = 1 << 12
#: Bytes of the largest access that unicorn tells at once.
_LARGEST: Final = 16

#: Serves an access: write or not, address, size, data written; returns the answer of a read.
Serve = Callable[[bool, int, int, bytes], bytes]


class Accesses:
    """Unicorn's hooks for them; an error in here must not go through its C code.

    `serve_port` and `serve_mmio` are set by the runner before anything is executed.

    Args:
        uc: what executes.
        holes: physical addresses without memory: the first, and the one behind.
        failed: told of an error in serving.
    """

    serve_port: Serve
    serve_mmio: Serve

    def __init__(
        self,
        uc: Any,
        holes: Iterable[tuple[int, int]],
        failed: Callable[[BaseException], None],
    ) -> None:
        from unicorn import UC_HOOK_INSN, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE
        from unicorn import x86_const as x86

        self._failed = failed
        self._access: tuple[int, bytes] | None = None  # address and answer of an MMIO access
        uc.hook_add(UC_HOOK_INSN, self._on_in, None, 1, 0, x86.UC_X86_INS_IN)
        uc.hook_add(UC_HOOK_INSN, self._on_out, None, 1, 0, x86.UC_X86_INS_OUT)
        for start, end in holes:
            uc.mmio_map(start, end - start, self._on_read, start, self._on_write, start)
            accesses = UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE
            # One that begins in the memory before may reach into the hole.
            first = max(start - _LARGEST, 0)
            uc.hook_add(accesses, self._on_access, range(start, end), first, end - 1)

    def forget(self) -> None:
        """Another instruction begins."""
        self._access = None

    def _served(self, serve: Serve, write: bool, address: int, size: int, data: bytes) -> bytes:
        try:
            return serve(write, address, size, data)
        except BaseException as error:  # noqa: BLE001 - raised again by the VCPU
            self._failed(error)
            return b"\xff" * size

    def _on_in(self, _uc: Any, port: int, size: int, _data: Any) -> int:
        return int.from_bytes(self._served(self.serve_port, False, port, size, b""), "little")

    def _on_out(self, _uc: Any, port: int, size: int, value: int, _data: Any) -> None:
        mask = (1 << (8 * size)) - 1
        self._served(self.serve_port, True, port, size, (value & mask).to_bytes(size, "little"))

    def _on_access(
        self, _uc: Any, kind: int, address: int, size: int, value: int, hole: range
    ) -> None:
        """An access as the instruction makes it; unicorn's own parts follow.

        KVM exits once for each page it touches (arch/x86/kvm/x86.c, emulator_read_write), and
        for none that is memory. The pages are taken as contiguous in physical memory.
        """
        from unicorn import UC_MEM_WRITE

        write = kind == UC_MEM_WRITE
        whole = (value & (1 << (8 * size)) - 1).to_bytes(size, "little")
        answer = b""
        for first, end in _by_page(address, size):
            data = whole[first - address : end - address]
            if first in hole:
                data = self._served(self.serve_mmio, write, first, end - first, data)
            answer += data
        self._access = address, answer

    def _on_read(self, _uc: Any, offset: int, size: int, start: int) -> int:
        address, data = self._access or (0, b"")
        first = start + offset - address
        found = [data[at] if 0 <= at < len(data) else 0xFF for at in range(first, first + size)]
        return int.from_bytes(bytes(found), "little")

    def _on_write(self, _uc: Any, _offset: int, _size: int, _value: int, _start: int) -> None:
        """Served by `_on_access`."""


def _by_page(address: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and end of an access in each page."""
    end = address + size
    while address < end:
        behind = min(end, (address | _PAGE - 1) + 1)
        yield address, behind
        address = behind
