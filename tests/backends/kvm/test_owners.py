"""Who answered an access, as the exits tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdash.backends.kvm.device_state import State
from kdash.backends.kvm.exits import meaning
from kdash.backends.kvm.facts import Exit, ExitReason, IoExit, MmioExit, Mode, MsrExit
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.images import load_file
from kdash.backends.kvm.layout import PAGE, Region
from kdash.backends.kvm.owners import Claim, Owners, from_json, owners, to_json
from kdash.backends.kvm.run import Listeners, Request, run_guest
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.user_devices import DeviceClass

WAIT = 10.0
#: mov dx,0x3f8; out dx,al; mov dl,0xfa; in al,dx; in al,0x92; out 0x80,al; hlt
ACCESSES = "baf803 ee b2fa ec e492 e680 f4"
TOLD = (
    "out 0x3f8, 1 byte: 0x0 (device Lamp)",
    "in 0x3fa, 1 byte: 0x1 (serial, interrupt identification)",
    "in 0x92, 1 byte: 0xff (system control A, fast A20 and reset; nobody answers: all ones)",
    "out 0x80, 1 byte: 0xff (POST code; nobody answers)",
)


class Lamp:
    ports = range(0x3F8, 0x3FA)
    mmio = range(0xD000_0000, 0xD000_0010)

    def read(self, address: int, size: int) -> int:
        return 7

    def write(self, address: int, size: int, value: int) -> None: ...

    def save(self) -> State:
        return {}

    def restore(self, state: State) -> None: ...


LAMP = DeviceClass("lamp.py:Lamp", Lamp)
GUEST = flat(bytes.fromhex(ACCESSES), "accesses", mode=Mode.REAL)


@pytest.mark.parametrize("engine", [pytest.param("kvm", marks=pytest.mark.kvm), "emulator"])
@pytest.mark.parametrize("stepped", [False, True])
def test_an_exit_names_who_answered_it(engine: str, stepped: bool) -> None:
    seen: list[Exit] = []
    run_guest(
        Request(GUEST, devices=(LAMP,), engine=engine, step_by_step=stepped),
        Listeners(exit=seen.append),
    )
    assert tuple(one.meaning for one in seen[:-1]) == TOLD


@pytest.mark.kvm
def test_a_recording_from_a_file_names_them_too(tmp_path: Path) -> None:
    path = tmp_path / "lamp.kdash"
    session = VcpuSession(GUEST, devices=(LAMP,))
    session.step(20).result(WAIT)
    session.seek(6).result(WAIT)
    assert tuple(one.meaning for one in session.snapshot().exits) == TOLD
    session.save_recording(str(path)).result(WAIT)
    session.close()
    opened = VcpuSession(load_file(path))
    opened.seek(6).result(WAIT)
    assert tuple(one.meaning for one in opened.snapshot().exits) == TOLD
    opened.close()


def test_addresses_and_registers_of_the_processor_have_owners_too() -> None:
    told = Owners((Claim("mmio", 0x1000, 0x1FFF, "device Lamp"), Claim("msr", 7, 7, "device Msrs")))
    written = MmioExit(True, 0x1004, b"\1")
    assert meaning(ExitReason.MMIO, written, told).endswith(": 0x1 (device Lamp)")
    read = MmioExit(False, 0x2000, b"\xff")
    assert meaning(ExitReason.MMIO, read, told).endswith("0xff (nobody answers: all ones)")
    assert meaning(ExitReason.X86_RDMSR, MsrExit(False, 7, 5, 2), told).endswith(
        "0x5 (device Msrs)"
    )


def test_writes_to_read_only_memory_say_so() -> None:
    from kdash.backends.kvm.devices import Bus

    told = owners(Bus(), (), (Region(0, PAGE), Region(0xF0000, PAGE, readonly=True)))
    assert told.of_address(0xF0010, True) == "read-only memory, which stays as it is"
    assert told.of_address(0x100000, True) == "nobody answers"


def test_where_owners_are_not_known_ports_have_their_usual_names() -> None:
    detail = IoExit("out", 0x80, 1, 1, b"\1")
    assert meaning(ExitReason.IO, detail, None) == "out 0x80, 1 byte: 0x1 (POST code)"


def test_claims_of_a_file_are_checked() -> None:
    told = Owners((Claim("port", 0, 7, "device Lamp"), Claim("port", 9, 9)))
    assert from_json(to_json(told)) == told
    assert from_json(to_json(None)) is None
    for wrong in (["port", 0, 7], ["disk", 0, 7, ""], ["port", 7, 0, ""], ["port", 0, True, ""],
                  ["port", 0, 7, None]):  # fmt: skip
        with pytest.raises((TypeError, ValueError)):
            from_json([wrong])
