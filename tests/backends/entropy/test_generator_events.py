from kdash.backends.entropy.facts import GeneratorEvent, HardwareSource
from kdash.backends.entropy.generator_events import MOST_EVENTS, EventGatherer
from kdash.backends.entropy.uevents import Uevents, is_vm_fork

from .conftest import Present

UEVENT = b"change@/devices/platform/vmgenid\0ACTION=change\0NEW_VMGENID=1\0SEQNUM=1042\0"
LOGGED = GeneratorEvent(1003.0, "vm-fork", "random: crng reseeded due to virtual machine fork")


def test_a_fork_told_by_log_object_event_and_generation_is_one_event() -> None:
    gatherer = EventGatherer()
    gatherer.add([LOGGED])
    gatherer.announced([UEVENT], 1003.5)
    gatherer.reseeded(1, 1003.5)
    assert [event.kind for event in gatherer.events] == ["vm-fork"]
    assert gatherer.vm_forks == 1


def test_a_second_fork_counts() -> None:
    gatherer = EventGatherer()
    gatherer.announced([UEVENT], 1003.5)
    gatherer.announced([UEVENT], 1303.5)
    assert gatherer.vm_forks == 2


def test_other_object_events_are_no_fork() -> None:
    assert is_vm_fork(UEVENT)
    assert not is_vm_fork(b"add@/devices/virtual/net/NEW_VMGENID=1\0ACTION=add\0")


def test_forced_reseeds_are_events() -> None:
    gatherer = EventGatherer()
    gatherer.reseeded(0, 10.0)
    gatherer.reseeded(2, 50.0)
    assert gatherer.events == (
        GeneratorEvent(50.0, "forced-reseed", "reseeded before it was due (2 times)"),
    )


def test_a_hardware_source_that_changes_is_an_event() -> None:
    gatherer = EventGatherer()
    for when, source in enumerate(
        (HardwareSource("tpm"), HardwareSource("tpm"), None, HardwareSource("none"))
    ):
        gatherer.hardware(source, float(when))
    assert [(event.kind, event.text) for event in gatherer.events] == [
        ("hwrng-lost", "hardware source: tpm, now none")
    ]


def test_only_the_newest_events_are_kept_in_the_order_of_time() -> None:
    gatherer = EventGatherer()
    gatherer.reseeded(1, 5000.0)
    gatherer.add(GeneratorEvent(float(n), "unseeded-read", "x") for n in range(MOST_EVENTS - 1))
    times = [event.monotonic for event in gatherer.events]
    assert times == sorted(times)
    assert len(times) == MOST_EVENTS


def test_this_process_may_listen_to_object_events() -> None:
    uevents = Uevents()
    assert isinstance(uevents.read(), tuple)
    uevents.close()
    uevents.close()


def test_a_fork_of_the_machine_is_in_the_next_reading_and_an_alert_for_a_while(
    present: Present,
) -> None:
    machine = present()
    machine.vdso.generations = [5, 5, 6]
    reader = machine.reader()
    assert reader.read().vm_forks == 0
    machine.system.messages.append(UEVENT)
    reading = reader.read()
    assert reading.vm_forks == 1
    assert reading.alerts[0].startswith("vm-fork: this machine was cloned or restored 0 s ago")
    machine.system.now += 700
    reading = reader.read()
    assert [event.kind for event in reading.events] == ["vm-fork"]
    assert reading.alerts == ()
