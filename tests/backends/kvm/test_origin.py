"""Which instruction caused an exit, from records of both kinds of hosts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kdash.backends.kvm.facts import ExitReason
from kdash.backends.kvm.origin import instruction_ip, reveals_out
from kdash.backends.kvm.records import REGISTER_NAMES, Record

RIP = 0x1008


def record(
    before: str, code: str, reason: int = ExitReason.IO, *, write: bool = True, port: int = 0x3F8,
    address: int = 0, bits: int = 32, values: Mapping[str, int] | None = None,
) -> Record:  # fmt: skip
    registers = tuple((values or {}).get(name, 0) for name in REGISTER_NAMES)
    return Record(
        RIP, reason, port, 1, write, 1, bits, address, b"x",
        bytes.fromhex(code), bytes.fromhex(before), registers,
    )  # fmt: skip


OUT = "ee"


def test_an_out_of_a_host_that_leaves_rip_at_it() -> None:
    assert instruction_ip(record(OUT, OUT), out_rip_after=False) == RIP


def test_an_out_of_a_host_that_leaves_rip_behind_it() -> None:
    assert instruction_ip(record(OUT, OUT), out_rip_after=True) == RIP - 1


@pytest.mark.parametrize(
    ("before", "port", "length"),
    [
        ("90ee", 0x3F8, 1),
        ("66ef", 0x3F8, 2),
        ("e6ee", 0xEE, 2),
        ("e680", 0x80, 2),
        ("66e780", 0x80, 3),
    ],
)
def test_the_length_of_an_out_is_read_backwards(before: str, port: int, length: int) -> None:
    assert instruction_ip(record(before, "90", port=port), True) == RIP - length


def test_port_7e_is_skipped_before_the_exit_on_every_host() -> None:
    assert instruction_ip(record("e67e", "90", port=0x7E), out_rip_after=False) == RIP - 2
    assert not reveals_out(record("e67e", "90", port=0x7E))


@pytest.mark.parametrize("after", [False, True])
def test_a_repeated_outs_stays_where_it_is_on_every_host(after: bool) -> None:
    assert instruction_ip(record("9090", "f36e"), after) == RIP
    assert not reveals_out(record("9090", "f36e"))


@pytest.mark.parametrize("after", [False, True])
def test_a_single_outs_is_behind_rip_on_every_host(after: bool) -> None:
    assert instruction_ip(record("906e", "90"), after) == RIP - 1
    assert not reveals_out(record("906e", "90"))


def test_a_plain_out_shows_where_the_host_leaves_rip() -> None:
    assert reveals_out(record("9090", OUT))


@pytest.mark.parametrize("after", [False, True, None])
def test_an_in_is_at_rip(after: bool | None) -> None:
    assert instruction_ip(record("9090", "ec", write=False), after) == RIP


def test_a_hlt_is_behind_rip() -> None:
    assert instruction_ip(record("90f4", "90", ExitReason.HLT), None) == RIP - 1


def test_an_mmio_read_is_at_rip() -> None:
    one = record("8810", "8a10", ExitReason.MMIO, write=False, address=0xD0000000)
    assert instruction_ip(one, None) == RIP


@pytest.mark.parametrize(
    ("code", "registers", "bits"),
    [
        ("8810", {"rax": 0xD0000000}, 32),  # mov [eax],dl
        ("c6400821", {"rax": 0xCFFFFFF8}, 32),  # mov byte [eax+8],0x21
        ("8814d8", {"rax": 0xC0000000, "rbx": 0x2000000}, 32),  # mov [eax+ebx*8],dl
        ("41880424", {"r12": 0xD0000000}, 64),  # mov [r12],al
        ("f00108", {"rax": 0xD0000000}, 32),  # lock add [eax],ecx
        ("880500000000", {}, 64),  # mov [rip+0],al
    ],
)
def test_an_mmio_write_is_the_store_before_rip(
    code: str, registers: dict[str, int], bits: int
) -> None:
    address = RIP if not registers else 0xD0000000
    length = len(bytes.fromhex(code))
    before = ("90" * 16 + code)[-32:]
    one = record(before, "90", ExitReason.MMIO, address=address, bits=bits, values=registers)
    assert instruction_ip(one, None) == RIP - length


def test_a_store_that_changed_its_own_address_is_found_all_the_same() -> None:
    one = record("9090aa", "90", ExitReason.MMIO, address=0xD0000000, values={"rdi": 0xD0000001})
    assert instruction_ip(one, None) == RIP - 1


def test_a_write_without_a_store_before_rip_is_told_at_rip() -> None:
    assert instruction_ip(record("", "90", ExitReason.MMIO), None) == RIP
