"""Model-specific registers that KVM leaves to us: seen as exits, answered by devices or refused."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kdash.backends.kvm.exit_codec import pack, unpack
from kdash.backends.kvm.exits import RawExit, decode_union, meaning
from kdash.backends.kvm.facts import Exit, ExitReason, Mode, MsrExit, Outcome
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.run import Listeners, Report, Request, run_guest
from kdash.backends.kvm.user_devices import DeviceClass, UserDevice, make_devices

UNKNOWN = 0x12345
READ = bytes.fromhex("b9 45 23 01 00  0f 32  f4")  # mov ecx,0x12345; rdmsr; hlt
# mov ecx,0x12345; mov eax,7; mov edx,1; wrmsr; rdmsr; hlt
WRITE = bytes.fromhex("b9 45 23 01 00  b8 07 00 00 00  ba 01 00 00 00  0f 30  0f 32  f4")


class Register:
    """One register of 64 bits."""

    ports = None
    mmio = None
    msrs = range(UNKNOWN, UNKNOWN + 1)

    def __init__(self) -> None:
        self.value = 0x1122334455667788

    def read(self, address: int, size: int) -> int:
        return self.value

    def write(self, address: int, size: int, value: int) -> None:
        self.value = value


DEVICE = DeviceClass("register.py:Register", Register)


def ran(
    image: bytes, devices: Iterable[DeviceClass] = (), max_steps: int | None = None
) -> tuple[Report, list[Exit]]:
    exits: list[Exit] = []
    request = Request(
        flat(image, "msr", mode=Mode.LONG), devices=tuple(devices), max_steps=max_steps, timeout=20
    )
    return run_guest(request, Listeners(exit=exits.append)), exits


def test_the_union_of_an_msr_exit_is_decoded() -> None:
    union = bytes(8) + (2).to_bytes(4, "little") + (0x10).to_bytes(4, "little")
    union += (0x55).to_bytes(8, "little") + bytes(232)
    assert decode_union(ExitReason.X86_WRMSR, union) == MsrExit(True, 0x10, 0x55, 2)


@pytest.mark.parametrize(
    ("detail", "line"),
    [
        (MsrExit(False, 0x10, 5, 2), "rdmsr 0x10 (IA32_TSC): 0x5"),
        (MsrExit(True, 0x12345, 5, 2), "wrmsr 0x12345: 0x5"),
        (MsrExit(False, 0x12345, 0, 2, True),
         "rdmsr 0x12345: #GP, a register that KVM does not know"),
        (MsrExit(True, 0x12345, 5, 1, True),
         "wrmsr 0x12345 0x5: #GP, a register or value that KVM refuses"),
    ],
)  # fmt: skip
def test_an_msr_exit_is_told_with_register_value_and_answer(detail: MsrExit, line: str) -> None:
    reason = ExitReason.X86_WRMSR if detail.write else ExitReason.X86_RDMSR
    assert meaning(reason, detail) == line


def test_an_msr_exit_survives_a_recording() -> None:
    detail = MsrExit(True, 0xC0000080, 0x500, 1, True)
    packed = pack([(RawExit(ExitReason.X86_WRMSR, detail), 3, 0x1000, None, "wrmsr", 0)])
    (told,) = unpack(packed)
    assert told.detail == detail


@pytest.mark.kvm
@pytest.mark.parametrize("max_steps", [None, 100], ids=["full speed", "stepped"])
def test_a_device_answers_a_register_that_kvm_does_not_know(max_steps: int | None) -> None:
    report, exits = ran(READ, [DEVICE], max_steps)
    assert report.outcome is Outcome.HLT
    registers = report.vcpus[0].registers
    assert (registers.rdx, registers.rax) == (0x11223344, 0x55667788)
    assert [one.name for one in exits] == ["X86_RDMSR", "HLT"]
    assert exits[0].detail == MsrExit(False, UNKNOWN, 0x1122334455667788, 2)
    assert exits[0].ip == 0x1005


@pytest.mark.kvm
@pytest.mark.parametrize("max_steps", [None, 100], ids=["full speed", "stepped"])
def test_a_write_reaches_the_device(max_steps: int | None) -> None:
    report, exits = ran(WRITE, [DEVICE], max_steps)
    registers = report.vcpus[0].registers
    assert (registers.rdx, registers.rax) == (1, 7)
    assert [one.name for one in exits] == ["X86_WRMSR", "X86_RDMSR", "HLT"]


@pytest.mark.kvm
def test_each_access_is_one_step() -> None:
    report, _ = ran(WRITE, [DEVICE], 100)
    assert report.steps == 6


@pytest.mark.kvm
def test_a_register_that_nobody_has_gives_a_fault_and_is_seen() -> None:
    report, exits = ran(READ)
    assert report.outcome is Outcome.SHUTDOWN  # without an IDT the #GP becomes a triple fault
    assert isinstance(exits[0].detail, MsrExit)
    assert exits[0].detail.refused


def test_a_device_of_registers_alone_is_a_device() -> None:
    (device,) = make_devices([DEVICE])
    assert isinstance(device, UserDevice)
    assert device.msrs == (range(UNKNOWN, UNKNOWN + 1),)
