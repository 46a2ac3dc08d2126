"""Where /dev/kvm can't be used, the program goes on with the emulator and says so."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from kdash.backends.kvm.engines import EMULATOR
from kdash.backends.kvm.session import VcpuSession
from kdash.panes.vcpu_guest import status_words
from kdash.widgets.vcpu.status import status_line

HIDDEN = 'mount --bind /dev/null /dev/kvm && exec "$@"'


def without_kvm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """kdash where /dev/kvm is something else."""
    command = ["unshare", "-m", "sh", "-c", HIDDEN, "sh", sys.executable, "-m", "kdash", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.root
@pytest.mark.kvm
def test_a_guest_runs_emulated_with_one_line_that_says_why() -> None:
    done = without_kvm("vcpu", "run", "--format", "json")
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("mount namespaces are not allowed here")
    (line,) = done.stderr.splitlines()
    assert line.startswith("kdash vcpu: EMULATED, since /dev/kvm: ")
    found = json.loads(done.stdout)
    assert (found["engine"], found["outcome"], done.returncode) == ("emulator", "hlt", 0)


@pytest.mark.root
@pytest.mark.kvm
def test_kvm_asked_for_by_name_is_not_replaced() -> None:
    done = without_kvm("vcpu", "run", "--engine", "kvm")
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("mount namespaces are not allowed here")
    assert done.returncode == 3
    assert "EMULATED" not in done.stderr


def test_the_pane_says_that_a_guest_is_emulated() -> None:
    session = VcpuSession(engine=EMULATOR)
    try:
        snapshot = session.snapshot()
        assert status_words(snapshot)[0] == "EMULATED ready"
        assert "EMULATED" in status_line(snapshot, 1, "", 60).text
        real = replace(snapshot, engine="kvm")
        assert "EMULATED" not in status_line(real, 1, "", 60).text
    finally:
        session.close()


def test_unicorn_is_not_imported_before_it_is_used() -> None:
    code = (
        "import sys; from kdash.backends.kvm.session import VcpuSession; "
        "import kdash.commands.vcpu; import kdash.backends.kvm.engines; "
        "sys.exit('unicorn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
