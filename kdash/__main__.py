"""Entry point of the `kdash` command and of `python -m kdash`."""

import gc
import sys


def main() -> int:
    """Run the command line and return the exit status."""
    from kdash.cli import run

    status = run(sys.argv[1:])
    if "kdash.backends.kvm.user_devices" in sys.modules:
        from kdash.leftover_threads import end_despite_threads

        end_despite_threads(status)
    # All that lives goes with the process: nobody need search it for cycles.
    gc.freeze()
    return status


if __name__ == "__main__":
    sys.exit(main())
