"""Disassembly of guest code by iced-x86, in the size that the registers say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from kdash.backends.kvm.facts import Instruction, Registers
from kdash.backends.kvm.symbols import Symbols

if TYPE_CHECKING:
    import iced_x86

#: The longest x86 instruction in bytes (Intel SDM vol. 2A, 2.3.11).
LONGEST: Final = 15
#: Bytes from a symbol up to CS:IP that are decoded, so that what is between is read right.
FAR: Final = 512

#: IP of 16-bit code goes on at 0 behind it (Intel SDM vol. 1, 3.5).
LAST_IP16: Final = 0xFFFF

#: Gives guest memory at a linear address, shorter where it ends.
ReadLinear = Callable[[int, int], bytes]


@cache
def _formatter() -> iced_x86.Formatter:
    from iced_x86 import Formatter, FormatterSyntax

    formatter = Formatter(FormatterSyntax.INTEL)
    formatter.hex_prefix = "0x"
    formatter.hex_suffix = ""
    formatter.uppercase_hex = False
    formatter.small_hex_numbers_in_decimal = False
    formatter.space_after_operand_separator = False
    formatter.branch_leading_zeros = False
    formatter.displacement_leading_zeros = False
    formatter.show_branch_size = False
    return formatter


def decode(code: bytes, ip: int, bits: int) -> iced_x86.Instruction:
    """The first instruction of `code`; false where the bytes are none."""
    from iced_x86 import Decoder

    return Decoder(bits, code, ip=ip).decode()


def _instruction(
    decoded: iced_x86.Instruction, code: bytes, ip: int, linear: int, current: bool
) -> Instruction:
    if not decoded:
        return Instruction(ip, linear, code[:1], "(bad)", current)
    return Instruction(
        ip,
        linear,
        code[: decoded.len],
        _formatter().format(decoded),
        current,
        _target(decoded),
    )


def _target(decoded: iced_x86.Instruction) -> int | None:
    near = (
        decoded.is_jcc_short_or_near
        or decoded.is_jmp_short_or_near
        or decoded.is_call_near
        or decoded.is_loop
        or decoded.is_jcx_short
        or decoded.is_loopcc
    )
    return decoded.near_branch_target if near else None


def instruction_text(code: bytes, ip: int, bits: int) -> str:
    """One instruction in Intel syntax; "(bad)" where the bytes are none."""
    decoded = decode(code, ip, bits)
    return _formatter().format(decoded) if decoded else "(bad)"


def forward(  # noqa: PLR0913 - where the bytes are, and how many to take
    code: bytes, ip: int, linear: int, bits: int, *, count: int, current: int | None = None
) -> list[Instruction]:
    """At most `count` instructions from the start of `code`; an incomplete last one is left out.

    Args:
        code: the bytes at `ip`.
        ip: RIP value of the first byte.
        linear: its linear address.
        bits: 16, 32 or 64.
        count: how many.
        current: the RIP value of the instruction to mark.
    """
    from iced_x86 import Decoder, DecoderError

    found: list[Instruction] = []
    decoder = Decoder(bits, code, ip=ip)
    position = 0
    while len(found) < count and position < len(code):
        decoder.position = position
        decoder.ip = ip + position
        decoded = decoder.decode()
        if not decoded and decoder.last_error == DecoderError.NO_MORE_BYTES and found:
            break
        here = ip + position
        one = _instruction(decoded, code[position:], here, linear + position, here == current)
        found.append(one)
        position += len(one.code)
    return found


def backward(code: bytes, ip: int, linear: int, bits: int, count: int) -> list[Instruction]:
    """At most `count` instructions that end where `code` ends, right before `ip`.

    Code can't be read backwards for certain; the farthest start from which all bytes
    decode and meet `ip` is taken.
    """
    for start in range(len(code)):
        found = _whole(code[start:], ip - len(code) + start, linear - len(code) + start, bits)
        if found:
            return found[-count:]
    return []


def _whole(code: bytes, ip: int, linear: int, bits: int) -> list[Instruction]:
    """All instructions of `code`, which begins and ends with whole ones; else none."""
    found = forward(code, ip, linear, bits, count=len(code))
    whole = sum(len(one.code) for one in found) == len(code)
    return found if whole and all(one.text != "(bad)" for one in found) else []


def around(  # noqa: PLR0913, PLR0917 - where the code is, and how much of it
    registers: Registers,
    read: ReadLinear,
    floor: int,
    before: int = 8,
    after: int = 24,
    begin: int | None = None,
) -> tuple[Instruction, ...]:
    """Instructions around CS:IP, the next to execute marked current.

    Args:
        registers: of the VCPU.
        read: gives its memory by linear address.
        floor: the lowest linear address that can hold code when CS:IP is above it.
        before: how many instructions before CS:IP at most.
        after: how many from CS:IP on at most.
        begin: a RIP value before CS:IP where an instruction is known to begin, as at a symbol.
    """
    bits, linear, ip = registers.code_bits, registers.linear_ip, registers.rip
    earlier: list[Instruction] = []
    if begin is not None and 0 < ip - begin <= min(FAR, linear):
        code = read(linear - ip + begin, ip - begin)
        if len(code) == ip - begin:
            earlier = _whole(code, begin, linear - ip + begin, bits)[-before:]
    if len(earlier) < before:
        end = earlier[0].linear if earlier else linear
        earlier = [*_before(end, linear, ip, read, floor, bits, before - len(earlier)), *earlier]
    length = after * 8 + LONGEST
    if bits == 16 and ip <= LAST_IP16:
        length = min(length, LAST_IP16 + 1 - ip)
    here = forward(read(linear, length), ip, linear, bits, count=after, current=ip)
    if here and touches_memory(here[0].text):
        from kdash.backends.kvm.operand_values import memory_operands

        memory = memory_operands(here[0].code, registers, read)
        here = [replace(here[0], memory=memory), *here[1:]]
    return (*earlier, *here)


def _before(  # noqa: PLR0913, PLR0917 - where the bytes are, and how many to take
    end: int, linear: int, ip: int, read: ReadLinear, floor: int, bits: int, count: int
) -> list[Instruction]:
    """At most `count` instructions that end at the linear address `end`, where ip is `linear`."""
    back = min(count * 6, ip - (linear - end), end)
    if end >= floor:
        back = min(back, end - floor)
    code = read(end - back, back) if back > 0 else b""
    return backward(code, ip - (linear - end), end, bits, count) if len(code) == back else []


def touches_memory(text: str) -> bool:
    """Whether an instruction may read memory or name it; `push rax` alone does neither."""
    return "[" in text or text.partition(" ")[0] in _READ_STACK


#: Instructions that read the stack without naming it.
_READ_STACK: Final = frozenset({"pop", "popf", "popfd", "popfq", "ret", "retf", "leave", "iret",
                                "iretd", "iretq"})  # fmt: skip


def named(instructions: Iterable[Instruction], symbols: Symbols) -> tuple[Instruction, ...]:
    """The same instructions, each with the symbol it belongs to and that of its target."""
    if not symbols:
        return tuple(instructions)
    return tuple(
        replace(
            one,
            symbol=symbols.nearest(one.ip),
            target_symbol="" if one.target is None else symbols.nearest(one.target),
        )
        for one in instructions
    )


def length_to_step_over(code: bytes, ip: int, bits: int) -> int | None:
    """Bytes of an instruction that comes back by itself (call, int); else None."""
    from iced_x86 import FlowControl

    decoded = decode(code, ip, bits)
    if not decoded:
        return None
    calls = (FlowControl.CALL, FlowControl.INDIRECT_CALL, FlowControl.INTERRUPT)
    return decoded.len if decoded.flow_control in calls else None


def returns(code: bytes, ip: int, bits: int) -> bool:
    """Whether an instruction returns from a call or an interrupt."""
    from iced_x86 import FlowControl

    decoded = decode(code, ip, bits)
    return bool(decoded) and decoded.flow_control == FlowControl.RETURN
