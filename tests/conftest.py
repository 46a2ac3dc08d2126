"""Markers of tests that need something of the machine: skipped with the reason without it."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

# What the developer's own configuration says is no part of a test.
os.environ["KDASH_CONFIG"] = ""

# A shell starts what runs in the background with SIGINT ignored, and its children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on what else the machine does. Each run tries other examples:
# few of them here, for `make test` is waited for; many in `make fuzz`.
hypothesis.settings.register_profile("untimed", deadline=None, max_examples=40)
hypothesis.settings.register_profile(  # of `make fuzz`
    "fuzz",
    deadline=None,
    max_examples=1000,
    suppress_health_check=list(hypothesis.HealthCheck),
    print_blob=True,
)
hypothesis.settings.load_profile("untimed")


# Nothing that is made while the tests are gathered is garbage.
gc.disable()


def pytest_collection_finish() -> None:
    """Keep the collector away from what stays to the end, else it takes a fifth of the time."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


def _kvm_reason() -> str:
    if not os.path.exists("/dev/kvm"):
        return "no /dev/kvm on this machine"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm may not be opened by this user"
    return ""


def _root_reason() -> str:
    return "" if os.geteuid() == 0 else "needs root"


def _gcc_reason() -> str:
    return "" if shutil.which("gcc") else "gcc is not installed (Debian package gcc)"


def _gdb_reason() -> str:
    return "" if shutil.which("gdb") else "gdb is not installed (Debian package gdb)"


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A folder that other users reach, too: pytest keeps its own for its user alone."""
    with tempfile.TemporaryDirectory(prefix="kdash-test-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


@pytest.fixture(autouse=True, scope="session")
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes what the user keeps."""
    with pytest.MonkeyPatch.context() as patch:
        state = tmp_path_factory.mktemp("state")
        patch.setenv("XDG_STATE_HOME", str(state))
        (state / "kdash").mkdir(mode=0o700)
        (state / "kdash" / "first-start").write_text("{}")  # nobody is told what to try
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def _chromium_reason() -> str:
    return "" if shutil.which("chromium") else "chromium is not installed (Debian package chromium)"


REASONS: dict[str, Callable[[], str]] = {
    "kvm": _kvm_reason,
    "root": _root_reason,
    "gcc": _gcc_reason,
    "chromium": _chromium_reason,
    "gdb": _gdb_reason,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # The examples of a property run the same lines again and again: tracing them costs
        # minutes and shows nothing that the tests of one behaviour do not.
        if hypothesis.is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.no_cover)
        # What runs the program as a process of its own has nothing here to trace but the test.
        if item.get_closest_marker("terminal") or item.get_closest_marker("chromium"):
            item.add_marker(pytest.mark.no_cover)
    for name, reason in REASONS.items():
        if text := reason():
            for item in items:
                if item.get_closest_marker(name):
                    item.add_marker(pytest.mark.skip(reason=text))
