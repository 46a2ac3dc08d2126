"""Every benchmark, one after the other (`make bench`)."""

from __future__ import annotations

import importlib
import platform
import sys
from pathlib import Path

BENCHMARKS = (
    "first_screen",
    "command_start",
    "vcpu_rates",
    "stops",
    "recording",
    "gdb_steps",
    "stack_browser",
    "stream_health",
    "sampling",
)


def main() -> None:
    """Print the machine, then each benchmark's lines."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    print(f"Linux {platform.release()} {platform.machine()}, Python {platform.python_version()}")
    for name in BENCHMARKS:
        importlib.import_module(name).main()


if __name__ == "__main__":
    main()
