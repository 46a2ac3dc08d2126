"""Going on from recordings and snapshots in files, on the real /dev/kvm."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdash.backends.kvm import resumption
from kdash.backends.kvm.boot import boot_guest
from kdash.backends.kvm.facts import GuestError, KvmError, Mode, Outcome, PastError
from kdash.backends.kvm.guests import Guest, article_guest, flat
from kdash.backends.kvm.guided import GuidedRun
from kdash.backends.kvm.images import Options, load_file
from kdash.backends.kvm.pace import Pace
from kdash.backends.kvm.recording_about import About
from kdash.backends.kvm.run import Listeners, Request, run_guest
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.start import Start
from kdash.backends.kvm.user_devices import DeviceClass

pytestmark = pytest.mark.kvm

#: push ax; inc ax; out 0xe9, al; jmp back
COUNTS = "50 40 e6e9 ebfa"


def go(run: GuidedRun, **pace: Any) -> None:
    run.begin(Pace(**pace))
    while run.advance():
        pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept.kdash"


def kept(path: Path, guest: Guest, steps: int, at: int | None = None, **options: Any) -> Any:
    """Saves a guest after so many steps, a moment of it alone with `at`; tells what it became
    ten steps later."""
    run = GuidedRun(guest, **options)
    try:
        go(run, steps=steps)
        if at is not None:
            run.seek(at)
        run.save(str(path), moment_only=at is not None)
        if at is not None:
            run.run_from_here()
        go(run, steps=10)
        shown = run.snapshot()
        return shown.registers, shown.steps, run._past.read(0, 0x8000), shown.exits_total
    finally:
        run.close()


def told(session: VcpuSession) -> Any:
    shown = session.snapshot()
    return shown.registers, shown.steps, session.read_memory(0, 0x8000), shown.exits_total


@pytest.fixture
def opened(path: Path) -> Iterator[Any]:
    sessions: list[VcpuSession] = []

    def build(**options: Any) -> VcpuSession:
        sessions.append(VcpuSession(load_file(path), **options))
        return sessions[-1]

    yield build
    for session in sessions:
        session.close()


GUESTS = {
    "real": flat(bytes.fromhex(COUNTS), "counts", memory=0x10000),
    "long": flat(bytes.fromhex("50 48ffc0 e6e9 ebf8"), "long", mode=Mode.LONG),
    "irqchip": replace(flat(bytes.fromhex("e621 40 e421 ebf9"), "pic"), irqchip=True),
}


@pytest.mark.parametrize("at", [None, 13], ids=["recording", "snapshot"])
@pytest.mark.parametrize("name", GUESTS)
def test_a_guest_goes_on_from_a_file_as_it_did(
    path: Path, opened: Any, name: str, at: int | None
) -> None:
    expected = kept(path, GUESTS[name], 30, at)
    session = opened()
    before = session.snapshot()
    assert before.recording.from_file
    session.step(10).result(5)
    assert told(session) == expected
    view = session.snapshot().recording
    assert (view.first, view.last, view.from_file) == (0 if at is None else 13, before.steps + 10,
                                                       False)  # fmt: skip
    session.step_back(10).result(5)
    assert session.snapshot().registers == before.registers


def test_the_past_of_a_file_is_still_there_when_the_guest_goes_on(path: Path, opened: Any) -> None:
    kept(path, GUESTS["real"], 30)
    session = opened()
    session.step(5).result(5)
    session.seek(4).result(5)
    assert session.snapshot().registers.rax == 1
    session.step(31).result(5)
    assert session.snapshot().steps == 35


def test_the_exits_of_a_file_stand_before_those_that_come_live(path: Path, opened: Any) -> None:
    kept(path, GUESTS["real"], 30)
    session = opened()
    before = [one.index for one in session.snapshot().exits]
    assert before
    after = [one.index for one in session.step(6).result(5).exits]
    assert after == [*before, *range(before[-1] + 1, after[-1] + 1)]
    assert after[-1] > before[-1]


def test_a_guest_that_went_live_says_from_which_moment(path: Path, opened: Any) -> None:
    kept(path, GUESTS["real"], 30)
    session = opened()
    assert session.snapshot().recording.live_from is None
    assert session.step(2).result(5).recording.live_from == 30
    session.seek(12).result(5)
    assert session.run_from_here().result(5).recording.live_from == 12


def test_running_on_from_the_middle_forgets_the_rest_of_the_file(path: Path, opened: Any) -> None:
    kept(path, GUESTS["real"], 30)
    session = opened()
    session.seek(13).result(5)
    session.run_from_here().result(5)
    view = session.snapshot().recording
    assert (view.first, view.position, view.last) == (0, 13, 13)
    session.step(17).result(5)
    reference = opened()
    assert session.snapshot().registers == reference.snapshot().registers


def test_changing_a_guest_of_a_file_makes_it_live(path: Path, opened: Any) -> None:
    kept(path, GUESTS["real"], 30)
    session = opened()
    session.seek(12).result(5)
    with pytest.raises(PastError, match="forgets the 18 moments"):
        session.set_register("rax", 0x41).result(5)
    session.set_register("rax", 0x41, confirm=True).result(5)
    shown = session.step(3).result(5)
    assert shown.debug_port.endswith(b"\x42")


def test_a_recording_that_is_not_at_its_end_is_shown_up_to_there_first(
    path: Path, opened: Any
) -> None:
    kept(path, GUESTS["real"], 30)
    session = opened()
    session.seek(3).result(5)
    shown = session.run().result(5)
    assert (shown.steps, shown.recording.from_file) == (30, True)
    assert "s and c go on LIVE" in shown.detail


def test_a_guest_that_ended_does_not_go_on_but_from_before(path: Path, opened: Any) -> None:
    kept(path, article_guest(), 20)
    session = opened()
    shown = session.step().result(5)
    assert (shown.outcome, shown.steps) == (Outcome.HLT, 7)
    session.seek(3).result(5)
    session.run_from_here().result(5)
    shown = session.run().result(5)
    assert (shown.outcome, shown.serial) == (Outcome.HLT, b"4\n")


def test_output_of_the_past_is_kept_and_not_sent_again(path: Path, opened: Any) -> None:
    kept(path, GUESTS["real"], 8)
    session = opened()
    heard: list[bytes] = []
    session.on_output(heard.append)
    shown = session.step(4).result(5)
    assert (shown.debug_port, b"".join(heard)) == (b"\x01\x02\x03", b"\x03")


def test_input_a_guest_has_not_read_comes_when_it_goes_on(path: Path, opened: Any) -> None:
    # mov dx, 0x3f8; in al, dx; jmp back
    kept(path, flat(bytes.fromhex("baf803 ec ebfd"), "reads"), 2, start=Start(stdin=b"abc"))
    session = opened()
    assert session.snapshot().registers.rax == ord("a")
    assert session.step(2).result(5).registers.rax == ord("b")
    session.step_back(3).result(5)
    session.run_from_here().result(5)
    assert session.step(1).result(5).registers.rax == ord("a")


def test_what_was_written_to_the_disk_is_there(path: Path, opened: Any) -> None:
    # mov ax, 0x0301; mov bx, 0x7c00; mov cx, 2; mov dx, 0x80; int 13h; nop;
    # mov ax, 0x0201; mov bx, 0x9000; mov cx, 2; int 13h; nop; hlt
    code = "b80103 bb007c b90200 ba8000 cd13 90 b80102 bb0090 b90200 cd13 90 f4"
    image = bytes.fromhex(code).ljust(510, b"\0") + b"\x55\xaa" + bytes(512)
    run = GuidedRun(boot_guest(image, "disk"))
    go(run, until=0x7C0E)
    run.save(str(path))
    run.close()
    session = opened()
    assert session.run_until(0x7C1A).result(5).registers.rip == 0x7C1A
    assert session.read_memory(0x9000, 512) == image[:512]
    session.seek(0).result(5)
    session.run_from_here().result(5)
    session.run_until(0x7C1A).result(5)
    assert session.read_memory(0x9000, 512) == image[:512]


def test_several_vcpus_go_on_in_turn(path: Path, opened: Any) -> None:
    # lock inc word [0x2000]; inc ax; jmp back
    guest = replace(flat(bytes.fromhex("f0ff060020 40 ebf8"), "two", memory=0x10000), vcpus=2)
    run_guest(Request(guest, max_steps=300, record=str(path)))
    session = opened()
    before = [one.registers for one in session.snapshot().vcpus]
    shown = session.step(3).result(5)
    assert [one.registers for one in shown.vcpus] != before
    assert sum(one.steps for one in shown.vcpus) == 303
    session.step_back(3).result(5)
    assert [one.registers for one in session.snapshot().vcpus] == before


class Adder:
    ports = range(0x10, 0x11)
    mmio = None

    def __init__(self) -> None:
        self.total = 0

    def read(self, address: int, size: int) -> int:
        return self.total

    def write(self, address: int, size: int, value: int) -> None:
        self.total += value

    def save(self) -> int:
        return self.total

    def restore(self, state: int) -> None:
        self.total = state


def test_devices_of_the_user_must_be_given_again(path: Path, opened: Any) -> None:
    adder = (DeviceClass("adder.py:Adder", Adder),)
    kept(path, flat(bytes.fromhex("b003 e610 e610 e410 f4"), "adds"), 3, devices=adder)
    with pytest.raises(
        GuestError,
        match=r"recorded with the device Adder; the guest goes on with --device FILE.py:Adder",
    ):
        opened().step().result(5)
    assert opened(devices=adder).step().result(5).registers.rax & 0xFF == 6


def test_without_kvm_a_recording_is_looked_through_and_says_why_it_stays(
    path: Path, opened: Any
) -> None:
    kept(path, GUESTS["real"], 30)
    session = opened(path="/nowhere/kvm")
    with pytest.raises(KvmError, match="/nowhere/kvm"):
        session.step().result(5)
    assert session.seek(4).result(5).registers.rax == 1
    assert not session.snapshot().failure or session.snapshot().steps == 4
    with pytest.raises(KvmError, match="goes on with KVM alone, and --engine asked"):
        opened(engine="emulator").step().result(5)


def test_a_headless_run_goes_on_where_one_ended(path: Path) -> None:
    whole = run_guest(Request(article_guest(), max_steps=20))
    run_guest(Request(article_guest(), max_steps=4, record=str(path)))
    heard: list[bytes] = []
    report = run_guest(Request(load_file(path)), Listeners(serial=heard.append))
    assert (report.outcome, report.serial, b"".join(heard)) == (Outcome.HLT, b"\n", b"\n")
    assert (report.registers, report.exits) == (whole.registers, whole.exits)


def test_a_headless_run_counts_its_steps_from_the_file_on_and_records_again(path: Path) -> None:
    run_guest(Request(GUESTS["real"], max_steps=8, record=str(path)))
    report = run_guest(
        Request(load_file(path), max_steps=4, record=str(path), dumps=((0x7FF8, 2),))
    )
    assert (report.outcome, report.steps, report.debug_port) == (Outcome.MAX_STEPS, 12, b"\x03")
    recording = load_file(path).recorded
    assert recording is not None
    assert (recording.recording.first, recording.recording.last) == (0, 12)
    assert recording.about.debug_port == b"\x01\x02\x03"


def test_registers_asked_for_are_set_where_the_guest_goes_on(path: Path, opened: Any) -> None:
    kept(path, GUESTS["real"], 4)
    report = run_guest(Request(load_file(path), registers={"rax": 0x60}, max_steps=3))
    assert report.debug_port == b"\x61"
    session = opened(start=Start({"rax": 0x60}))
    assert session.step(3).result(5).debug_port == b"\x01\x61"


def test_a_register_that_can_not_be_set_leaves_the_recording_to_be_looked_through(
    path: Path, opened: Any
) -> None:
    kept(path, GUESTS["real"], 4)
    session = opened(start=Start({"cr0": 1 << 31}))
    with pytest.raises(GuestError, match="cr0"):
        session.step().result(5)
    assert session.step_back().result(5).steps == 3
    with pytest.raises(GuestError, match="cr0"):
        run_guest(Request(load_file(path), registers={"cr0": 1 << 31}, record=str(path)))


def test_too_little_memory_for_a_recording_says_how_much_is_needed() -> None:
    run = GuidedRun(flat(b"\xf4", "large", memory=16 << 20), start=Start(record_limit=1 << 20))
    go(run, steps=1)
    assert "--record-memory 17M is the least" in run.snapshot().unrecorded
    run.close()


def test_options_that_would_change_the_machine_are_refused(path: Path) -> None:
    kept(path, GUESTS["real"], 3)
    with pytest.raises(GuestError, match="--page-tables can't change it"):
        load_file(path, Options(tables=0x20000))
    with pytest.raises(GuestError, match="--vcpus can't change it"):
        load_file(path, Options(vcpus=2))


# -- files that somebody made


def altered(path: Path, area: str, change: Any) -> VcpuSession:
    """A session of the file's recording, its last moment changed as no guest could."""
    guest = load_file(path)
    assert guest.recorded is not None
    recording = guest.recorded.recording
    found = next(one for one in recording.areas if one.name == area)
    shadow = recording.shadow(found.number)
    shadow[:] = change(bytes(shadow))
    return VcpuSession(guest)


def test_more_msrs_than_the_structure_holds_are_refused(path: Path) -> None:
    kept(path, GUESTS["real"], 3)
    session = altered(path, "MSRS", lambda data: struct.pack("<I", 1000) + data[4:])
    try:
        with pytest.raises(KvmError, match="the recording's MSRS are others"):
            session.step().result(5)
        assert session.step_back().result(5).steps == 2
    finally:
        session.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3), max_leaves=6,
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_state_of_devices_is_taken_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "devices.kdash"
    if not path.exists():
        kept(path, GUESTS["real"], 3)

    def change(content: bytes) -> bytes:
        state = json.loads(content.partition(b"\0")[0])
        device = data.draw(st.sampled_from(sorted(state)))
        if isinstance(state[device], dict) and data.draw(st.booleans()):
            state[device][data.draw(st.sampled_from(sorted(state[device])))] = data.draw(JSON)
        else:
            state[device] = data.draw(JSON)
        return json.dumps(state).encode()[: len(content)].ljust(len(content), b"\0")

    session = altered(path, "devices", change)
    try:
        session.step(20).result(5)
        assert not session.snapshot().failure
    except GuestError as error:
        assert "makes no sense" in str(error)
    finally:
        session.close()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(words=st.lists(st.tuples(st.integers(0, 64), st.integers(0, (1 << 64) - 1)), max_size=8),
       xsave=st.binary(max_size=600))  # fmt: skip
def test_any_registers_are_taken_or_refused_by_kvm(
    tmp_path_factory: pytest.TempPathFactory, words: list[tuple[int, int]], xsave: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "registers.kdash"
    if not path.exists():
        kept(path, GUESTS["real"], 3)
    guest = load_file(path)
    assert guest.recorded is not None
    recording = guest.recorded.recording
    for place, value in words:
        recording.words(0)[place] = value
    area = recording.area("XSAVE", 0)
    assert area is not None
    recording.shadow(area.number)[: len(xsave)] = xsave
    session = VcpuSession(guest)
    try:
        session.step(3).result(5)
    except (KvmError, GuestError) as error:
        assert str(error)
    finally:
        session.close()


def test_a_run_that_was_ended_from_outside_goes_on() -> None:
    assert not resumption.has_ended(About("x", "kvm", outcome=Outcome.MAX_STEPS))
    assert resumption.has_ended(About("x", "kvm", outcome=Outcome.SHUTDOWN))
