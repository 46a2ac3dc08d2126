"""The command line: headless commands, or the dashboard on the pane that fits the argument."""

from __future__ import annotations

import errno
import gc
import os
import sys
from importlib import import_module

from kdash import __version__, fault
from kdash.exit_status import ExitStatus
from kdash.narration import Narration

UNWRITABLE = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG)  # of write(2)

_MANY_OBJECTS = 50_000  # made since the last collection of the youngest ones

COMMANDS = {
    "vcpu": "run or trace a guest on /dev/kvm without the dashboard",
    "stack": "validate the stack rules of object files, explain findings",
    "entropy": "the state of the kernel's random-number generator, once or repeatedly",
    "doctor": "what works on this machine, and what to do about the rest",
    "config": "the configuration file: where it is and what holds by it",
    "web": "the dashboard in a browser, on this machine alone",
    "completion": "completions of this command line for bash, zsh or fish",
    "manual": "the manual page, for man(1)",
}

HELP = """\
usage: kdash [GUEST | OBJECT... | LOG]    the dashboard
       kdash COMMAND ...                  the same without a screen

A terminal dashboard for three kernel subsystems: step a KVM guest, triage
stack-validation findings, watch the random-number generator.

commands (each has --help with an example):
{commands}

options:
  -h, --help     this text
  --version      the version

arguments of the dashboard:
  GUEST          executable, boot image, flat binary or recording to load into a virtual machine
                 (default: a 12-byte sample)
  OBJECT...      x86_64 object files (.o, .ko) or folders to validate (default: samples)
  LOG            the log of a kernel build, SARIF, or JSON lines of `kdash stack check`
  --build-dir DIR
                 where the paths in LOG start
  --compare OLD  what is new, fixed or moved since OLD: objects, a folder, results, a baseline
  --baseline FILE
                 show only what FILE does not accept, and what is fixed
  --theme NAME   dark, light, high-contrast, colour-blind or ansi (by the terminal)
  --ascii        draw with the characters of ASCII alone
  --mode MODE    processor mode GUEST starts in: real, protected or long
  --engine NAME  what executes it: kvm, emulator or auto
  --symbols FILE names of its addresses: an ELF file or a System.map
  --recording auto|on|off, --record-memory SIZE
                 whether steps are kept to go back to, and in how much memory (512M)
  --set REG=VALUE, --stdin FILE, --device FILE.py:CLASS and every other option that says
                 what GUEST is and how it starts, as of `kdash vcpu run --help`

examples:
  kdash                          samples in all three panes
  kdash boot.bin --engine emulator --set rax=2
                                 a guest of your own, without /dev/kvm
  kdash drivers/net/foo.o        the stack pane, on that object
  kdash build.log                the warnings of a build, with code, path and our verdict
  kdash vcpu run                 run the sample guest, print its serial output
  kdash stack check build/       validate every object below build/
  kdash entropy --format json    the generator's state as JSON

A file named like a command is given with a folder: ./stack
Exit status: 0 clean, 1 findings or a failed guest, 2 usage, 3 environment.
"""


def run(argv: list[str]) -> int:
    """Carry out a command line.

    Args:
        argv: The arguments, without the program's name.

    Returns:
        The exit status (see ExitStatus).
    """
    sys.excepthook = fault.tell
    if sys.stdout is not None:
        _fill_closed()
    if not isinstance(sys.stderr, Narration):
        sys.stderr = Narration(sys.stderr)
    if sys.stdout is None:
        sys.stderr.write("kdash: standard output is closed: nowhere to print to\n")
        return ExitStatus.ENVIRONMENT
    try:
        status = _run(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
        return ExitStatus.SIGPIPE
    except KeyboardInterrupt:
        return ExitStatus.SIGINT
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        _forget_output()
        sys.stderr.write(f"kdash: standard output can't be written: {error.strerror}\n")
        return ExitStatus.ENVIRONMENT
    return status


def _fill_closed() -> None:
    """Let standard input and error that are closed lead nowhere.

    Else the first files that are opened, such as /dev/kvm, take their numbers. What wants to read
    standard input still finds none.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    if sys.stderr is None:
        os.open(os.devnull, os.O_WRONLY)
        sys.stderr = sys.__dict__["__stderr__"] = open(2, "w", closefd=False)  # noqa: SIM115


def _forget_output() -> None:
    """Let what is still in the buffer go nowhere, or the interpreter complains at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def help_text() -> str:
    """What `kdash --help` prints."""
    listing = "\n".join(f"  {name:<14} {text}" for name, text in COMMANDS.items())
    return HELP.format(commands=listing)


def _run(argv: list[str]) -> int:
    first = argv[0] if argv else ""
    if first in ("-h", "--help", "help"):
        sys.stdout.write(help_text())
        return ExitStatus.OK
    if first == "--version":
        sys.stdout.write(f"kdash {__version__}\n")
        return ExitStatus.OK
    if first in COMMANDS:
        # What starting makes is no garbage; looking for some takes a tenth of a short command.
        gc.set_threshold(_MANY_OBJECTS)
    module = first if first in COMMANDS else "dashboard"
    command = import_module(f"kdash.commands.{module}")
    return int(command.run(argv[1:] if first in COMMANDS else argv))
