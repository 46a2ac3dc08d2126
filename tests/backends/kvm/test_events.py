"""ioeventfd, irqfd, coalesced writes and the serial port's interrupt, on the real /dev/kvm."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from kdash.backends.kvm import ioctl
from kdash.backends.kvm.eventfds import IrqLine
from kdash.backends.kvm.facts import Exit, GuestError, KvmError, Mode, Outcome
from kdash.backends.kvm.guests import Guest, Part
from kdash.backends.kvm.images import Options, make_guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.modes import CODE
from kdash.backends.kvm.records import Steps
from kdash.backends.kvm.run import Listeners, Report, Request, run_guest
from kdash.backends.kvm.runner import Runner
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.user_devices import DeviceClass
from kdash.backends.kvm.vcpu_runner import INTERRUPTS, RFLAGS

pytestmark = pytest.mark.kvm

#: mov cx, 400; again: mov al, cl; out 0x30, al; loop again; out 0xe9, al; hlt
WRITES = "b99001 88c8 e630 e2fa e6e9 f4"
#: ds = 0x2000; cx = 400; bx = 0; again: mov [0], bx; inc bx; loop again; out 0xe9, al; hlt
STORES = "b80020 8ed8 b99001 31db 891e0000 43 e2f9 e6e9 f4"
#: IVT[13] = 0:1040; PIC: base 8, all masked but IRQ 5; out 0x30, al; cli; until the
#: handler has counted to 1 at 0x2000: sti; hlt; and hlt.
WAITS_FOR_IRQ_5 = (
    bytes.fromhex(
        "c706340040 10c706360000 00 b011e620b008e621b004e621b001e621b0dfe621 e630"
        "fa 803e002001 7404 fb f4 ebf4 f4"
    ).ljust(0x40, b"\0")
    # inc byte [0x2000], end of interrupt, iret
    + bytes.fromhex("50 fe060020 b020e620 58 cf")
).hex()
#: Long mode. lidt [0x1070]; PIC: base 0x20, all masked but IRQ 4; IER = 1; OUT2; then
#: cli; until [0x3000] is 'q': sti; hlt; and hlt.
ECHO = (
    "0f011c2570100000 b011e620b020e621b004e621b001e621b0efe621 66baf903b001ee 66bafc03b008ee"
    "fa 803c250030000071 7404 fb f4 ebf1 f4"
)
#: receive into AL and [0x3000], send it, end of interrupt, iretq
ECHO_HANDLER = "66baf803 ec 880425 00300000 ee b020e620 48cf"


class Counter:
    """Counts writes to port 0x30, by ioeventfd and as a device."""

    ports = range(0x30, 0x31)
    mmio = None
    datamatch: int | None = None
    latest: Counter

    def __init__(self) -> None:
        self.events = 0
        self.written: list[int] = []
        type(self).latest = self

    def attach(self, machine: Machine) -> None:
        machine.ioeventfd(0x30, 1, self.ring, datamatch=self.datamatch)

    def ring(self, count: int) -> None:
        self.events += count

    def read(self, address: int, size: int) -> int:
        return 0

    def write(self, address: int, size: int, value: int) -> None:
        self.written.append(value)


def guest(code: str, **options: Any) -> Guest:
    return make_guest(bytes.fromhex(code), "test", Options(**options))


def run(
    one: Guest, *devices: type, exits: Callable[[Exit], None] | None = None, **options: Any
) -> Report:
    classes = tuple(DeviceClass(f"test.py:{device.__name__}", device) for device in devices)
    options.setdefault("timeout", 10)
    return run_guest(Request(one, devices=classes, **options), Listeners(exit=exits))


# -- ioeventfd


@pytest.mark.parametrize("stepped", [False, True])
def test_writes_with_an_ioeventfd_do_not_stop_the_vcpu(stepped: bool) -> None:
    report = run(guest(WRITES), Counter, step_by_step=stepped)
    assert (Counter.latest.events, Counter.latest.written) == (400, [])
    assert report.exits == {"IO": 1, "HLT": 1}


def test_several_vcpus_count_together() -> None:
    run(guest(WRITES, vcpus=3), Counter)
    assert Counter.latest.events == 1200


def test_only_the_value_asked_for_counts_where_one_is() -> None:
    class Matching(Counter):
        datamatch = 7

    run(guest(WRITES), Matching)
    assert Matching.latest.events == 2  # 400 down to 1, as bytes
    assert len(Matching.latest.written) == 398


def test_an_ioeventfd_can_be_at_an_address() -> None:
    class Doorbell(Counter):
        mmio = None

        def attach(self, machine: Machine) -> None:
            machine.ioeventfd(0x20000, 2, self.ring, mmio=True)

    report = run(guest(STORES, memory=0x10000), Doorbell)
    assert Doorbell.latest.events == 400
    assert report.mmio == (0, 0)


def test_the_device_is_served_while_the_guest_runs() -> None:
    # again: out 0x30, al; cmp byte [0x2000], 0; je again; hlt
    class Answering(Counter):
        def attach(self, machine: Machine) -> None:
            self.machine = machine
            super().attach(machine)

        def ring(self, count: int) -> None:
            self.machine.memory.write(0x2000, b"\x01")

    assert run(guest("e630 803e002000 74f7 f4"), Answering).exits == {"HLT": 1}


@pytest.mark.parametrize("vcpus", [1, 2])
def test_a_device_that_raises_when_it_is_served_ends_the_run(vcpus: int) -> None:
    class Broken(Counter):
        def ring(self, count: int) -> None:
            raise RuntimeError("out of order")

    # out 0x30, al; jmp $
    report = run(guest("e630 ebfe", vcpus=vcpus), Broken)
    assert report.outcome is Outcome.UNHANDLED_EXIT
    assert report.detail == "device Broken: RuntimeError: out of order"
    assert 'raise RuntimeError("out of order")' in report.failure


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((0x30, 3), "1, 2, 4 or 8 bytes, not 3"),
        ((0x30, 1, 256), "a write of 1 bytes can't be 0x100"),
    ],
)
def test_an_ioeventfd_that_can_not_be_is_refused(arguments: tuple[int, ...], told: str) -> None:
    address, size, *match = arguments
    with Machine(guest("f4")) as machine, pytest.raises(ValueError, match=told):
        machine.ioeventfd(address, size, print, datamatch=match[0] if match else None)


# -- irqfd


class Interrupting(Counter):
    """Interrupts by line 5 when port 0x30 is written."""

    def attach(self, machine: Machine) -> None:
        self.interrupt = machine.irqfd(5)

    def write(self, address: int, size: int, value: int) -> None:
        self.interrupt()


@pytest.mark.parametrize("stepped", [False, True])
def test_a_device_interrupts_the_guest(stepped: bool) -> None:
    one = guest(WAITS_FOR_IRQ_5, irqchip=True)
    report = run(one, Interrupting, step_by_step=stepped, dumps=((0x2000, 1),))
    assert (report.outcome, report.memory) == (Outcome.HLT, {0x2000: b"\x01"})


def test_an_ioeventfd_can_lead_to_an_interrupt() -> None:
    class Both(Interrupting):
        def attach(self, machine: Machine) -> None:
            super().attach(machine)
            machine.ioeventfd(0x30, 1, lambda _: self.interrupt())

    report = run(guest(WAITS_FOR_IRQ_5, irqchip=True), Both)
    assert report.exits == {"HLT": 1}


def test_an_interrupt_line_needs_interrupt_controllers() -> None:
    with pytest.raises(KvmError, match="no interrupt lines: give it some with --irqchip"):
        run(guest("f4"), Interrupting)


def test_a_line_that_is_not_there_is_refused() -> None:
    refused = pytest.raises(ValueError, match="no interrupt line 24; they are 0 to 23")
    with Machine(guest("f4", irqchip=True)) as machine, refused:
        machine.irqfd(24)


def test_a_line_of_a_closed_machine_does_nothing() -> None:
    with Machine(guest("f4", irqchip=True)) as machine:
        line = cast(IrqLine, machine.irqfd(5))
    line()
    line.close()


# -- coalesced writes


class Recorder(Counter):
    """Records what is stored at 0x20000, which KVM collects."""

    ports = None  # type: ignore[assignment]
    mmio = range(0x20000, 0x20010)  # type: ignore[assignment]

    def attach(self, machine: Machine) -> None:
        machine.coalesce(range(0x20000, 0x20010), mmio=True)


@pytest.mark.parametrize("stepped", [False, True])
def test_collected_writes_come_in_order_before_the_exit_behind_them(stepped: bool) -> None:
    exits: list[Exit] = []
    one = guest(STORES, memory=0x10000)
    report = run(one, Recorder, exits=exits.append, step_by_step=stepped)
    assert Recorder.latest.written == list(range(400))
    assert [exit_.name for exit_ in exits] == ["MMIO"] * 400 + ["IO", "HLT"]
    assert (
        exits[7].meaning
        == "mmio write 0x20000, 2 bytes: 0x7 (device Recorder) (coalesced, seen here)"
    )
    assert report.mmio == (0, 400)


def test_collected_writes_save_exits() -> None:
    report = run(guest(STORES, memory=0x10000), Recorder)
    assert report.raw_exits["MMIO"] < 10


def test_writes_to_ports_can_be_collected() -> None:
    class Ports(Counter):
        def attach(self, machine: Machine) -> None:
            machine.coalesce(range(0x30, 0x31))

    report = run(guest(WRITES), Ports)
    assert len(Ports.latest.written) == 400
    assert report.ports[0x30] == (0, 400)
    assert report.raw_exits["IO"] < 10


def test_two_vcpus_share_the_ring() -> None:
    run(guest(STORES, memory=0x10000, vcpus=2), Recorder)
    assert sorted(Recorder.latest.written) == sorted([*range(400), *range(400)])


# -- the serial port


CHIPS = pytest.mark.parametrize("irqchip", [True, False], ids=["irqfd", "KVM_INTERRUPT"])


def echo_guest(irqchip: bool = True) -> Guest:
    code = bytes.fromhex(ECHO).ljust(0x70, b"\0") + struct.pack("<HQ", 0xFFF, 0x4000)
    code = code.ljust(0x80, b"\0") + bytes.fromhex(ECHO_HANDLER)
    # An interrupt gate for vector 0x24: offset 15:0, selector, IST, type, offset 31:16, ...
    gate = struct.pack("<HHBBHII", 0x1080, CODE, 0, 0x8E, 0, 0, 0)
    one = make_guest(code, "echo", Options(mode=Mode.LONG, irqchip=irqchip))
    object.__setattr__(one, "parts", (Part(0x4000 + 0x24 * 16, gate),))
    return one


# With the kernel's controllers kvm_pvm halts again behind an IRETQ that is stepped.
@pytest.mark.parametrize(("irqchip", "stepped"), [(True, False), (False, False), (False, True)])
def test_serial_input_interrupts_the_guest(irqchip: bool, stepped: bool) -> None:
    report = run(echo_guest(irqchip), stdin=b"kdash q", step_by_step=stepped)
    assert (report.outcome, report.serial) == (Outcome.HLT, b"kdash q")


@pytest.mark.parametrize("stepped", [False, True])
def test_serial_input_interrupts_a_guest_of_the_emulator(stepped: bool) -> None:
    request = Request(
        echo_guest(irqchip=False), stdin=b"kdash q", step_by_step=stepped, timeout=30,
        engine="emulator",
    )  # fmt: skip
    report = run_guest(request)
    assert (report.outcome, report.serial) == (Outcome.HLT, b"kdash q")
    assert report.exits["HLT"] == 1


@CHIPS
@pytest.mark.parametrize("stepped", [False, True])
def test_an_empty_transmitter_interrupts_the_guest(irqchip: bool, stepped: bool) -> None:
    # IVT[12] = 0:1040; PIC: base 8, all masked but IRQ 4; OUT2; IER = 2 (transmitter empty); cli;
    # until [0x2000] is at least 5: sti; hlt; and hlt. The handler reads IIR, counts, and sends
    # 'A' to 'E'.
    code = bytes.fromhex(
        "c706300040 10c706320000 00 b011e620b008e621b004e621b001e621b0efe621"
        "bafc03b008ee baf903b002ee fa 803e002005 7304 fb f4 ebf4 f4"
    ).ljust(0x40, b"\0") + bytes.fromhex(
        "bafa03ec a00020 0441 fe060020 3c46 7404 baf803 ee b020e620 cf"
    )
    report = run(guest(code.hex(), irqchip=irqchip), step_by_step=stepped)
    assert (report.outcome, report.serial) == (Outcome.HLT, b"ABCDE")
    assert report.exits["HLT"] == 1


@CHIPS
def test_serial_input_wakes_a_guest_that_waits_for_it(irqchip: bool) -> None:
    session = VcpuSession(echo_guest(irqchip))
    try:
        running = session.run()
        for byte in b"hello q":
            session.send_serial(bytes([byte])).result(5)
        shown = running.result(10)
    finally:
        session.close()
    assert (shown.outcome, shown.serial) == (Outcome.HLT, b"hello q")


@CHIPS
@pytest.mark.parametrize("mode", [Mode.REAL, Mode.LONG])
def test_a_step_into_a_handler_tells_the_instruction_executed(mode: Mode, irqchip: bool) -> None:
    seen: list[int] = []

    def steps(batch: Steps) -> None:
        seen.extend(record.rip for record in batch)

    if mode is Mode.LONG:
        one, handler, second = echo_guest(irqchip), 0x1080, 0x1084
    else:
        # IVT[12] = 0:1040; PIC: base 8, all masked but IRQ 4; OUT2; IER = 2; sti; jmp $
        code = bytes.fromhex(
            "c706300040 10c706320000 00 b011e620b008e621b004e621b001e621b0efe621"
            "bafc03b008ee baf903b002ee fb ebfe"
        ).ljust(0x40, b"\0") + bytes.fromhex("b058 f4")
        one, handler, second = guest(code.hex(), irqchip=irqchip), 0x1040, 0x1042
    request = Request(one, stdin=b"q", step_by_step=True, timeout=5, max_steps=1_000_000)
    run_guest(request, Listeners(steps=steps))
    assert handler in seen
    assert seen[seen.index(handler) + 1] == second


def wait_until_requested(machine: Machine, line: int) -> None:
    """KVM hands what an irqfd brings to the PICs in a thread of its own, which may take a while."""
    # struct kvm_irqchip: chip_id, padding; of a struct kvm_pic_state last_irr, then irr.
    for _ in range(5000):
        _, chip = ioctl.call_bytes(machine.memory.vm, "KVM_GET_IRQCHIP")
        if chip[9] & 1 << line:
            return
        time.sleep(0.001)
    pytest.fail(f"the interrupt of line {line} did not come in five seconds")


def test_a_vcpu_can_be_stepped_without_interrupts() -> None:
    # IVT[13] = 0:1040; PIC: base 8, all masked but IRQ 5; sti; nops
    code = (
        bytes.fromhex(
            "c706340040 10c706360000 00 b011e620b008e621b004e621b001e621b0dfe621 fb 909090"
        ).ljust(0x40, b"\0")
        + b"\xf4"
    )
    with Machine(guest(code.hex(), irqchip=True)) as machine:
        interrupt, vcpu = machine.irqfd(5), machine.vcpu
        runner = Runner(machine)
        while vcpu.general_registers()[RFLAGS] & INTERRUPTS == 0:
            runner.step(1)
        assert runner.runners[0].after_sti
        behind = vcpu.rip
        runner.step(1)
        interrupt()
        wait_until_requested(machine, 5)
        vcpu.shadowed = True
        vcpu.step_batch(1)
        assert vcpu.rip == behind + 2
        vcpu.shadowed = False
        vcpu.step_batch(1)
        assert vcpu.registers().rsp == 0x8000 - 6


def test_no_interrupt_comes_between_sti_and_hlt_where_they_are_stepped() -> None:
    # The handler keeps where it would return to, and halts.
    # IVT[13] = 0:1040; PIC: base 8, all masked but IRQ 5; out 0x30, al; cli; 3 nops; sti; hlt; hlt
    code = bytes.fromhex(
        "c706340040 10c706360000 00 b011e620b008e621b004e621b001e621b0dfe621 e630fa 909090 fb f4 f4"
    ).ljust(0x40, b"\0") + bytes.fromhex("58 a30020 b8f4f4 e6e9 f4")
    one = guest(code.hex(), irqchip=True)
    report = run(one, Interrupting, step_by_step=True, dumps=((0x2000, 2),))
    halts = code.index(b"\xfb\xf4\xf4") + 1
    assert report.memory[0x2000] == (0x1000 + halts + 1).to_bytes(2, "little")


@pytest.mark.parametrize("stepped", [False, True])
def test_an_interrupt_waits_until_the_guest_can_take_it(stepped: bool) -> None:
    # As above, but with interrupts on only after a loop of 300 rounds, and no HLT before the end.
    code = bytes.fromhex(
        "c706300040 10c706320000 00 b011e620b008e621b004e621b001e621b0efe621"
        "bafc03b008ee baf903b002ee b92c01 e2fe fb ebfe"
    ).ljust(0x40, b"\0") + bytes.fromhex("b058 bafb03 49 e6e9 f4")
    report = run(guest(code.hex()), step_by_step=stepped)
    assert (report.outcome, report.debug_port) == (Outcome.HLT, b"X")
    assert report.registers.rcx == 0xFFFF  # the loop was done


def test_a_guest_that_halts_and_waits_for_no_input_has_ended() -> None:
    session = VcpuSession(guest("fb f4"))
    try:
        assert session.run().result(5).outcome is Outcome.HLT
    finally:
        session.close()


def test_a_device_may_not_be_attached_where_its_attach_raises() -> None:
    class Wrong(Counter):
        def attach(self, machine: Machine) -> None:
            machine.ioeventfd(0x30, 5, self.ring)

    with pytest.raises(GuestError, match=r"test.py:Wrong: attach: ValueError: an ioeventfd takes"):
        run(guest("f4"), Wrong)
