"""Starts the program with faults in its backends.

`python crashing.py FAULT PYTHON -m kdash ARGUMENT...`; the FAULT is that of the Entropy pane, or
"guest": the VCPU's thread alone, once the guest has gone at full speed, or "program":
the interface itself, at the key of a pane.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from kdash.app import KdashApp
from kdash.backends.entropy.history import History
from kdash.backends.entropy.live_model import LiveModel
from kdash.backends.kvm.vcpu_thread import VcpuThread
from kdash.backends.stack.worker_process import WorkerProcess
from kdash.cli import run

SLICES = 10  # of a run, before its thread ends
slices = [0]
go_on, send = VcpuThread._next, WorkerProcess.send


def crash(*_: object) -> NoReturn:
    """What nobody foresaw."""
    raise RuntimeError("injected[red]\x1b[2J")


def crash_once_the_guest_runs(thread: VcpuThread) -> Any:
    """The VCPU's thread ends as soon as the guest is let go."""
    return crash() if thread._goal is not None else go_on(thread)


def crash_at_full_speed(thread: VcpuThread) -> Any:
    """The VCPU's thread ends while the guest goes on and on."""
    slices[0] += thread._goal is not None
    return crash() if slices[0] > SLICES else go_on(thread)


async def kill_then_send(worker: WorkerProcess, line: str) -> None:
    """A worker process dies before it has read what to do."""
    worker.kill()
    await send(worker, line)


EVERYWHERE = (
    (VcpuThread, "_next", crash_once_the_guest_runs),
    (WorkerProcess, "send", kill_then_send),
    (LiveModel, "advance", crash),
)
FAULTS = {
    "model": EVERYWHERE,
    "sampler": (*EVERYWHERE, (History, "add", crash)),
    "guest": ((VcpuThread, "_next", crash_at_full_speed),),
    "program": ((KdashApp, "action_show_pane", crash),),
}[sys.argv[1]]
for owner, name, fault in FAULTS:
    setattr(owner, name, fault)
sys.exit(run(sys.argv[5:]))
