"""The dashboard watches the generator and takes no part in it."""

import json
import subprocess
import sys
import textwrap

import pytest

from .conftest import RANDOM, Present

# An audit hook can't be removed: the readings run in a process of their own.
SCRIPT = textwrap.dedent(
    """
    import contextlib, io, json, os, sys
    opened = []
    def hook(event, args):
        if event == "open":
            path, mode, flags = args
            if not isinstance(path, int):  # a pipe to the probe is no file
                opened.append([str(path), mode or "", flags or 0])
    from kdash.backends.entropy.live_model import LiveModel
    from kdash.backends.entropy.probe import probe_entropy
    from kdash.backends.entropy.signals import SignalReader
    from kdash.backends.entropy import metrics, vdso_child
    from kdash.backends.entropy.vdso import VdsoChild
    sys.addaudithook(hook)
    sys.dont_write_bytecode = True
    root = sys.argv[1]
    reader = SignalReader(root, vdso=VdsoChild() if root == "/" else None)
    readings = [reader.read() for _ in range(3)]
    reader.close()
    list(metrics.metrics_of(readings[-1]))
    with contextlib.redirect_stdout(io.StringIO()):  # what the probe does in its own process
        sys.stdin = io.StringIO("\\n\\n")
        vdso_child.main()
    probe_entropy(root)
    LiveModel().step()
    print(json.dumps({"era": readings[-1].era.value, "opened": opened}))
    """
)
WRITES = 0o1 | 0o2 | 0o100 | 0o1000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC


def observe(root: str) -> tuple[str, list[tuple[str, str, int]]]:
    """The era found below a root, and every file that was opened to find it."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, root], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    return found["era"], [(path, mode, flags) for path, mode, flags in found["opened"]]


def is_written(mode: str, flags: int) -> bool:
    return bool(flags & WRITES) or any(letter in mode for letter in "wax+")


@pytest.fixture(scope="module")
def opened_here() -> list[tuple[str, str, int]]:
    return observe("/")[1]


def test_nothing_is_opened_for_writing(opened_here: list[tuple[str, str, int]]) -> None:
    # /dev/null is where the probe's complaints go.
    written = [path for path, mode, flags in opened_here if is_written(mode, flags)]
    assert set(written) <= {"/dev/null"}
    assert any(path.endswith("entropy_avail") for path, _, _ in opened_here)


def test_the_raw_source_and_urandom_are_left_alone(
    opened_here: list[tuple[str, str, int]],
) -> None:
    assert not {"/dev/hwrng", "/dev/urandom"} & {path for path, _, _ in opened_here}


def test_dev_random_is_not_even_opened_on_an_old_kernel(present: Present) -> None:
    # The presented /dev/random is a plain file, which would make it a replaced one: it is
    # left out, and the running kernel's getrandom answers for the presented one.
    machine = present("old", {f"{RANDOM}/entropy_avail": 3})
    era, opened = observe(str(machine.folder))
    assert era == "since-3.17"
    assert opened
    assert not [path for path, _, _ in opened if path.endswith("dev/random")]
    assert not [path for path, mode, flags in opened if is_written(mode, flags)]
