import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.happenings import Happening, Kind
from kdash.backends.entropy.procfs import Root, Unavailable
from kdash.backends.entropy.traced_events import TracedFeed, happenings_of, window_of

HEAD = b"          <idle>-0       [001] d.h1. 28806.221534: "


WHEN = 28_806_221_534_000


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (
            b"irq_handler_entry: irq=36 name=virtio1-req.0",
            (Happening(WHEN, Kind.INTERRUPT, 1, 36),),
        ),
        (
            b"irq_handler_entry: irq=1 name=i8042",
            (
                Happening(WHEN, Kind.INTERRUPT, 1, 1),
                Happening(WHEN, Kind.INPUT, 1, 1, WHEN & 0xFF),
            ),
        ),
        (
            b"block_rq_complete: 254,0 RA () 29947720 + 32 be,0,4 [0]",
            (Happening(WHEN, Kind.DISK, 1, 254 << 20),),
        ),
        (b"sched_switch: prev_comm=irq", ()),
        (b"block_rq_complete: ?", ()),
    ],
)
def test_a_line_of_the_trace_is_its_events(text: bytes, events: tuple[Happening, ...]) -> None:
    assert happenings_of(HEAD + text) == events


def test_events_outside_the_window_are_counted_as_left_out() -> None:
    line = HEAD + b"irq_handler_entry: irq=36 name=eth0"
    assert window_of([line], WHEN - 5, WHEN + 5).happenings == [
        Happening(WHEN, Kind.INTERRUPT, 1, 36)
    ]
    assert window_of([line, b"noise"], WHEN + 1, WHEN + 5).left_out == 1


@given(st.binary(max_size=90))
def test_any_line_is_read(line: bytes) -> None:
    happenings_of(line)
    happenings_of(HEAD + line)


def test_without_tracefs_it_says_why(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not on this kernel"):
        TracedFeed(Root(tmp_path))


SCRIPT = """
import json, os, time
from kdash.backends.entropy.live_model import LiveModel
live = LiveModel()
live.feed_from("trace")
made = os.listdir("/sys/kernel/tracing/instances")
words = live.snapshot().feed
time.sleep(0.3)
live.advance()
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
    assert "traced" in words
    assert not any(name in left for name in made if name.endswith("-events"))
