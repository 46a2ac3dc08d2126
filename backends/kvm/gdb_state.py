"""Registers and memory of the VCPU that gdb has selected."""

from __future__ import annotations

from typing import Final

from kdash.backends.kvm.facts import RunState, Snapshot
from kdash.backends.kvm.gdb_arguments import PATIENCE, MalformedError, number, octets, pair
from kdash.backends.kvm.gdb_packets import PACKET_SIZE
from kdash.backends.kvm.gdb_registers import (
    all_registers,
    hexadecimal,
    is_fpu,
    register_bytes,
    write_registers,
)
from kdash.backends.kvm.gdb_target_xml import REGISTERS
from kdash.backends.kvm.session import VcpuSession

_OK: Final = b"OK"
_NO_MEMORY: Final = b"E0e"  # EFAULT

#: Bytes of memory an `m` answer holds: two digits each, in one packet.
_MOST: Final = PACKET_SIZE // 2


class StateCommands:
    """Answers g G p P m M X; each method gets a packet's arguments.

    All of them raise MalformedError when those make no sense, and ValueError or KvmError
    when a value can't be set.
    """

    def __init__(self, session: VcpuSession) -> None:
        self._session = session

    def read_registers(self, _arguments: bytes) -> bytes:
        """`g`."""
        return all_registers(
            self._session.snapshot().registers, self._session.fpu().result(PATIENCE)
        )

    def write_registers(self, arguments: bytes) -> bytes:
        """`G`: those that are given and known."""
        at, values = 0, {}
        for place, register in enumerate(REGISTERS):
            part = arguments[at : at + 2 * register.size]
            at += 2 * register.size
            if part and b"x" not in part:
                values[place] = octets(part, register.size)
        write_registers(self._session, values)
        return _OK

    def read_register(self, arguments: bytes) -> bytes:
        """`p`."""
        place = _place(arguments)
        fpu = self._session.fpu().result(PATIENCE) if is_fpu(place) else None
        value = register_bytes(place, self._session.snapshot().registers, fpu)
        return hexadecimal(value, place)

    def write_register(self, arguments: bytes) -> bytes:
        """`P`."""
        name, _, digits = arguments.partition(b"=")
        place = _place(name)
        write_registers(self._session, {place: octets(digits, REGISTERS[place].size)})
        return _OK

    def read_memory(self, arguments: bytes) -> bytes:
        """`m`: by linear address, as far as it is mapped."""
        address, length = pair(arguments)
        data = code_at(self._session.snapshot(), address, length)
        if data is None:
            data = self._session.read_memory(address, min(length, _MOST))
        return data.hex().encode() if data or not length else _NO_MEMORY

    def write_memory(self, arguments: bytes) -> bytes:
        """`M`."""
        where, _, digits = arguments.partition(b":")
        address, length = pair(where)
        return self._write(address, octets(digits, length))

    def write_binary(self, arguments: bytes) -> bytes:
        """`X`."""
        where, _, data = arguments.partition(b":")
        address, length = pair(where)
        if len(data) != length:
            raise MalformedError
        return self._write(address, data)

    def _write(self, address: int, data: bytes) -> bytes:
        written = self._session.write_memory(address, data).result(PATIENCE)
        return _OK if written == len(data) else _NO_MEMORY


def code_at(snapshot: Snapshot, linear: int, length: int) -> bytes | None:
    """Bytes of the instruction at CS:IP, which gdb asks for again and again at every stop.

    None where others are wanted: they are read.
    """
    current = next((one for one in snapshot.disassembly if one.current), None)
    if current is None or snapshot.state is RunState.RUNNING:
        return None
    offset = linear - current.linear
    if offset < 0 or length == 0 or offset + length > len(current.code):
        return None
    return current.code[offset : offset + length]


def _place(digits: bytes) -> int:
    place = number(digits)
    if place >= len(REGISTERS):
        raise MalformedError
    return place
