"""State of a recording in a file, looked at without a machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kdash.backends.kvm.facts import KvmError, Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.images import load_file
from kdash.backends.kvm.session import VcpuSession

pytestmark = pytest.mark.kvm
WAIT = 10.0


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VcpuSession]:
    """Of: mov dx,0x3f8; out dx,al; out dx,al; hlt; shown before the second OUT."""
    path = tmp_path_factory.mktemp("recorded") / "two.kdash"
    live = VcpuSession(flat(bytes.fromhex("66baf803 ee ee f4"), "two", mode=Mode.LONG))
    live.step(2).result(WAIT)
    live.step(2).result(WAIT)
    live.save_recording(str(path)).result(WAIT)
    live.close()
    session = VcpuSession(load_file(path))
    session.seek(2).result(WAIT)
    yield session
    session.close()


def test_devices_are_those_of_the_moment(opened: VcpuSession) -> None:
    rows = opened.inspect(lambda look: look.devices())
    sent = next(one for one in rows if (one.device, one.name) == ("serial", "sent"))
    assert sent.value == "1"


def test_registers_of_the_system_and_the_page_walk_are_there(opened: VcpuSession) -> None:
    control = opened.inspect(lambda look: look.control())
    assert control.registers.cr0 == 0x8005_0033
    assert control.events is not None
    walk = opened.inspect(lambda look: look.walk(0x1000))
    assert (walk.physical, walk.paging) == (0x1000, "4-level")
    assert opened.inspect(lambda look: look.physical(0x1000, 3)) == b"\x66\xba\xf8"


def test_fpu_and_msrs_are_there_as_far_as_they_are_recorded(opened: VcpuSession) -> None:
    fpu = opened.inspect(lambda look: look.fpu())
    assert len(fpu.vectors) == 16
    assert "XMM" in fpu.note
    names = {one.name for one in opened.inspect(lambda look: look.msrs()).msrs}
    assert "IA32_TSC" in names


@pytest.mark.parametrize("what", ["cpuid", "statistics"])
def test_what_is_not_recorded_says_what_to_do(opened: VcpuSession, what: str) -> None:
    with pytest.raises(KvmError, match=":run-from-here"):
        opened.inspect(lambda look: getattr(look, what)())
