import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.facts import GeneratorEvent
from kdash.backends.entropy.kernel_log import KernelLog, event_of
from kdash.backends.entropy.procfs import Root, Unavailable

FORK = b"5,1203,1303112,-;random: crng reseeded due to virtual machine fork\n"
SEEDED = b"5,420,109004,-;random: crng init done\n"
NOISE = b"6,421,110000,-;virtio_net virtio3 eth0: renamed from enp0s3\n"


def log_of(folder: Path, *records: bytes) -> KernelLog:
    (folder / "dev").mkdir(exist_ok=True)
    (folder / "dev/kmsg").write_bytes(b"".join(records))
    return KernelLog(Root(folder))


def test_records_about_the_generator_become_events(tmp_path: Path) -> None:
    assert log_of(tmp_path, SEEDED, NOISE, FORK).read() == (
        GeneratorEvent(0.109004, "seeded", "random: crng init done"),
        GeneratorEvent(1.303112, "vm-fork", "random: crng reseeded due to virtual machine fork"),
    )


def test_records_that_are_gone_are_counted_once(tmp_path: Path) -> None:
    log = log_of(tmp_path, SEEDED, NOISE)
    for _ in range(2):
        log.read()
        assert log.overwritten == 420
    log.close()


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b"random: nonblocking pool is initialized", "seeded"),
        (b"random: crng reseeded on system resumption", "resume"),
        (b"random: sshd: uninitialized urandom read (16 bytes read)", "unseeded-read"),
        (b"hwrng: no data available", "hwrng-silent"),
    ],
)
def test_messages_of_every_age_are_known(message: bytes, kind: str) -> None:
    event = event_of(b"4,7,2000000,-;" + message)
    assert event is not None
    assert event.kind == kind


def test_each_record_is_told_once(tmp_path: Path) -> None:
    log = log_of(tmp_path, SEEDED)
    assert len(log.read()) == 1
    assert log.read() == ()
    with (tmp_path / "dev/kmsg").open("ab") as file:
        file.write(FORK)
    assert [event.kind for event in log.read()] == ["vm-fork"]
    log.close()


def test_what_a_program_wrote_into_the_log_is_not_believed() -> None:
    forged = b"12,1204,1303113,-;random: crng reseeded due to virtual machine fork"
    assert event_of(forged) is None


def test_a_log_that_says_nothing_yet_does_not_hold_up_the_reading(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev/kmsg")
    log = KernelLog(Root(tmp_path))
    done = threading.Thread(target=log.read)
    done.start()
    done.join(10)
    assert not done.is_alive()
    log.close()


def test_a_missing_log_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not on this kernel"):
        KernelLog(Root(tmp_path)).read()


@given(st.binary(max_size=80))
def test_any_bytes_give_an_event_or_none(record: bytes) -> None:
    event_of(record + b"crng init done")
    event_of(b"5,1,99999999999999999999999999,-;crng init done" + record)
