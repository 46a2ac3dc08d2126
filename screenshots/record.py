"""Makes the recordings in tests/recordings/ on a machine with /dev/kvm.

Run as `python -m screenshots.record`, and again only when the facts themselves change: the
pictures are drawn from the recordings, so that they are the same on every machine.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdash.backends.entropy.signals import SignalReader
from kdash.backends.entropy.vdso import VdsoChild
from kdash.backends.stack.facts import CheckOptions, FileReport
from kdash.backends.stack.object_files import sample_paths
from kdash.backends.stack.service import validate
from kdash.backends.stack.wire import encode
from kdash.panes.entropy_laboratory import measured, simulated, tested
from screenshots.record_guests import record
from tests.recordings.codec import to_json

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = ROOT / "tests" / "recordings"
READINGS = 150  # of one second each, long enough to see the generator reseed


async def record_stack() -> list[str]:
    """The reports on the bundled objects."""
    return [
        encode(_without_folder(report))
        async for report in validate(sample_paths(), CheckOptions(), sample=True)
    ]


def _without_folder(report: FileReport) -> FileReport:
    name = Path(report.file).name
    findings = tuple(replace(finding, file=name) for finding in report.findings)
    return replace(report, file=name, findings=findings, seconds=0.0)


def record_entropy() -> list[Any]:
    """Readings of this machine, one a second."""
    reader = SignalReader(vdso=VdsoChild())
    readings = []
    try:
        for _ in range(READINGS):
            readings.append(to_json(reader.read()))
            time.sleep(1.0)
    finally:
        reader.close()
    return readings


def record_laboratory() -> dict[str, Any]:
    """Contention and a tested stream of this machine, and larger machines simulated."""

    def go_on() -> None:
        """Nothing cancels it."""

    return {
        "measured": to_json(list(measured(go_on))[-1]),
        "simulated": to_json(list(simulated(go_on))[-1]),
        "health": to_json(list(tested("getrandom")(go_on))[-1]),
    }


def main() -> None:
    """Write the recordings named on the command line, all without arguments."""
    wanted = sys.argv[1:] or ["vcpu", "stack", "entropy", "laboratory"]
    if "vcpu" in wanted:
        for name, data in record().items():
            text = json.dumps(data, separators=(",", ":"))
            (RECORDINGS / f"vcpu-{name}.json").write_text(text + "\n")
    if "stack" in wanted:
        lines = asyncio.run(record_stack())
        (RECORDINGS / "stack.jsonl").write_text("\n".join(lines) + "\n")
    if "entropy" in wanted:
        (RECORDINGS / "entropy.json").write_text(json.dumps(record_entropy(), indent=0) + "\n")
    if "laboratory" in wanted:
        text = json.dumps(record_laboratory(), indent=0)
        (RECORDINGS / "laboratory.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
