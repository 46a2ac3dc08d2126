import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.live_model import LiveModel
from kdash.backends.entropy.machine_feed import Kind, Sample, machine_feed
from kdash.backends.entropy.procfs import Unavailable
from kdash.backends.entropy.traced_events import sample_of

HEAD = b"          <idle>-0       [001] d.h1. 28806.221534: "


@pytest.mark.parametrize(
    ("text", "sample"),
    [
        (
            b"irq_handler_entry: irq=36 name=virtio1-req.0",
            Sample(28_806_221_534_000, 36, Kind.INTERRUPT, 1),
        ),
        (b"irq_handler_entry: irq=1 name=i8042", Sample(28_806_221_534_000, 1, Kind.INPUT, 1)),
        (
            b"block_rq_complete: 254,0 RA () 29947720 + 32 be,0,4 [0]",
            Sample(28_806_221_534_000, 254 << 20, Kind.DISK, 1),
        ),
        (b"sched_switch: prev_comm=irq", None),
        (b"block_rq_complete: ?", None),
    ],
)
def test_a_line_of_the_trace_is_an_event(text: bytes, sample: Sample | None) -> None:
    assert sample_of(HEAD + text) == sample


@given(st.binary(max_size=90))
def test_any_line_is_read(line: bytes) -> None:
    sample_of(line)
    sample_of(HEAD + line)


def test_without_tracefs_the_counters_go_on(tmp_path: Path) -> None:
    live = LiveModel(machine_feed(str(tmp_path)))
    with pytest.raises(Unavailable, match="not on this kernel"):
        live.trace_events(True, str(tmp_path))
    assert live.catch_up() == []
    live.close()


def test_a_model_that_a_seed_feeds_takes_no_events_of_the_machine() -> None:
    with pytest.raises(Unavailable, match="not fed by the machine"):
        LiveModel(machine_feed(seed=1)).trace_events(True)


SCRIPT = """
import json, os, time
from kdash.backends.entropy.live_model import live_model
live = live_model()
live.trace_events(True)
made = os.listdir("/sys/kernel/tracing/instances")
words = live.feed_words()
live.catch_up()
live.close()
print(json.dumps([made, words, os.listdir("/sys/kernel/tracing/instances")]))
"""


@pytest.mark.root
def test_an_instance_of_its_own_goes_with_the_model() -> None:
    mount = 'mount -t tracefs nodev /sys/kernel/tracing && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, sys.executable, SCRIPT],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("this machine's events can't be traced here")
    made, words, left = json.loads(done.stdout)
    assert any(name.endswith("-events") for name in made)
    assert "events traced" in words
    assert not any(name in left for name in made if name.endswith("-events"))
