"""Starts the program with faults in its backends.

`python crashing.py FAULT PYTHON -m kdash ARGUMENT...`; the FAULT is that of the Entropy pane.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from kdash.backends.entropy.history import History
from kdash.backends.entropy.live_model import LiveModel
from kdash.backends.kvm.vcpu_thread import VcpuThread
from kdash.backends.stack.worker_process import WorkerProcess
from kdash.cli import run

go_on, send = VcpuThread._next, WorkerProcess.send


def crash(*_: object) -> NoReturn:
    """What nobody foresaw."""
    raise RuntimeError("injected[red]\x1b[2J")


def crash_once_the_guest_runs(thread: VcpuThread) -> Any:
    """The VCPU's thread ends as soon as the guest is let go."""
    return crash() if thread._goal is not None else go_on(thread)


async def kill_then_send(worker: WorkerProcess, line: str) -> None:
    """A worker process dies before it has read what to do."""
    worker.kill()
    await send(worker, line)


FAULTS = (
    (VcpuThread, "_next", crash_once_the_guest_runs),
    (WorkerProcess, "send", kill_then_send),
    (LiveModel, "advance", crash),
    *(((History, "add", crash),) if sys.argv[1] == "sampler" else ()),
)
for owner, name, fault in FAULTS:
    setattr(owner, name, fault)
sys.exit(run(sys.argv[5:]))
