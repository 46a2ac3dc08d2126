"""Steps and exits a second beside the shortest C program on the same ioctls.

The C loop is built from benchmarks/c_loop.c into a temporary folder. Both run the same guests in
turn; the best of each and the ratio of the bests are printed.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.run import Listeners, Request, run_guest

FOLDER = Path(__file__).resolve().parent
OUT_GUEST = bytes.fromhex("e680ebfc")  # out 0x80,al; jmp back
STEP_GUEST = bytes.fromhex("4001c3ebfb")  # inc ax; add bx,ax; jmp back
EVENTS = 150_000
PAIRS = 6


def c_rate(program: Path, kind: str) -> float:
    """Events a second of the C loop."""
    command = [str(program), kind, str(EVENTS)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return float(output.stdout.split()[0])


def our_step_rate() -> float:
    """Steps a second, every record decoded with its registers."""
    seen = 0

    def look(record: object, number: int, vcpu: int) -> None:
        nonlocal seen
        seen += 1

    guest = Guest(title="steps", image=STEP_GUEST)
    begin = time.perf_counter()
    run_guest(Request(guest, max_steps=EVENTS), Listeners(step=look))
    assert seen == EVENTS
    return EVENTS / (time.perf_counter() - begin)


def our_exit_rate() -> float:
    """Exits a second at full speed, every one counted and given to its device."""
    guest = Guest(title="exits", image=OUT_GUEST)
    report = run_guest(Request(guest, timeout=1.0))
    return report.exits["IO"] / report.seconds


def main() -> None:
    """Print the rates and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "c_loop"
        source = FOLDER / "c_loop.c"
        build = ["gcc", "-O2", "-std=gnu11", "-o", str(program), str(source)]
        subprocess.run(build, check=True)
        print(f"VCPU rates, best of {PAIRS} pairs in turn:")
        for name, kind, ours, wanted in (
            ("steps with registers, every record decoded", "step", our_step_rate, 0.90),
            ("exits at full speed (out)", "out", our_exit_rate, 0.95),
        ):
            pairs = [(c_rate(program, kind), ours()) for _ in range(PAIRS)]
            theirs, best = max(c for c, _ in pairs), max(own for _, own in pairs)
            print(
                f"  {name:<43} {best / 1000:6.1f} k/s   C loop {theirs / 1000:6.1f} k/s"
                f"   ratio {best / theirs:.2f} (wanted {wanted:.2f})"
            )


if __name__ == "__main__":
    main()
