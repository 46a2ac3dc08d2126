"""Entry point of the `kdash` command and of `python -m kdash`."""

import sys


def main() -> int:
    """Run the command line and return the exit status."""
    from kdash.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
