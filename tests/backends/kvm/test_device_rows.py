"""What the devices of a machine hold, told from their saved state."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.device_rows import device_registers
from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.state_facts import DeviceRegister

WAIT = 10.0
#: mov dx,0x3f8; mov al,'A'; out dx,al; out dx,al; mov al,0x20; out 0x21,al; hlt
WRITES = "baf803 b041 ee ee b020 e621 f4"


def found(session: VcpuSession) -> dict[tuple[str, str], DeviceRegister]:
    rows = session.inspect(lambda inspector: inspector.devices())
    return {(one.device, one.name): one for one in rows}


@pytest.fixture(params=[pytest.param("kvm", marks=pytest.mark.kvm), "emulator"])
def session(request: pytest.FixtureRequest) -> Iterator[VcpuSession]:
    guest = flat(bytes.fromhex(WRITES), "writes", mode=Mode.REAL)
    opened = VcpuSession(guest, engine=request.param)
    yield opened
    opened.close()


def test_devices_tell_what_the_guest_did_to_them(session: VcpuSession) -> None:
    before = found(session)
    assert before["serial", "sent"].value == "0"
    session.step(20).result(WAIT)
    after = found(session)
    assert after["serial", "sent"].value == "2"
    assert after["serial", "line"].meaning.startswith("9600 baud, 8N1")
    assert after["8259a", "mask"].value == "20"
    assert after["bus", "port 3f8"].meaning == "0 reads, 2 writes so far"
    assert {device for device, _ in after} >= {"serial", "i8042", "cmos", "fw_cfg", "pit", "8259a"}


@pytest.mark.kvm
def test_in_the_past_devices_are_that_moments() -> None:
    session = VcpuSession(flat(bytes.fromhex(WRITES), "writes"))
    session.step(20).result(WAIT)
    session.seek(3).result(WAIT)
    assert found(session)["serial", "sent"].value == "1"
    session.close()


@given(
    st.dictionaries(
        st.sampled_from(["serial", "timer", "pic", "cmos", "keyboard", "log", "bios", "exit_port"]),
        st.dictionaries(st.sampled_from(["sent", "counters", "_bytes", "ports", "value", "_mask"]),
                        st.none() | st.integers() | st.lists(st.integers(), max_size=3)),
    )
)  # fmt: skip
def test_a_state_that_makes_no_sense_is_left_out(state: dict[str, object]) -> None:
    device_registers(state)
