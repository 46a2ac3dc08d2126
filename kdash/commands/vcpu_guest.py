"""The guest of the command line: its options and what is loaded by them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from kdash.commands.vcpu_arguments import assignment, count, cpuid_request, number, place, size
from kdash.commands.vcpu_input import serial_input

if TYPE_CHECKING:
    from kdash.backends.kvm.guests import Guest
    from kdash.backends.kvm.start import Start

MODES: Final = ("real", "protected", "long")
TYPES: Final = ("flat", "elf", "multiboot", "boot", "bios", "linux")
#: --recording, as Start.record has it.
RECORDING: Final = {"auto": None, "on": True, "off": False}


def add_guest_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what a guest is and how it is started, with a screen or without."""
    add = parser.add_argument
    add("--type", choices=TYPES, help="what GUEST is (by its content)")
    add("--mode", choices=MODES, help="processor mode to start in (that of GUEST)")
    add("--load", type=number, metavar="ADDR", help="where the image is loaded (0x1000)")
    add("--entry", type=place, metavar="ADDR", help="RIP or symbol to start at")
    add("--stack", type=number, metavar="ADDR", help="RSP to start with (0x8000)")
    add("--page-tables", type=number, metavar="ADDR", help="those of long mode (0x10000)")
    add("--symbols", metavar="FILE", help="ELF file or System.map with names of addresses")
    add("--append", metavar="TEXT", help="command line of a multiboot image or Linux kernel")
    add("--initrd", metavar="FILE", help="initial RAM disk of a Linux kernel")
    add("--no-extract", action="store_true", help="let a bzImage unpack itself in the guest")
    add("--memory", type=size, metavar="SIZE", help="RAM (image end + 16M, at least 2M)")
    add("--vcpus", type=count, default=1, metavar="N", help="processors of the guest (1)")
    add("--irqchip", action="store_true",
        help="interrupt controllers and timer (PIC, APICs, PIT) in the kernel")  # fmt: skip
    add("--set", type=assignment, action="append", default=[], metavar="REG=VALUE",
        help="set a register of every VCPU before the start; repeatable")  # fmt: skip
    add("--cpuid", type=cpuid_request, action="append", default=[],
        metavar="host|none|LEAF[:SUB].REG=VALUE",
        help="what CPUID answers: all that KVM supports, 0 to every leaf, or a register of one"
        " leaf as 1.ecx=0x80000000; repeatable, in order (host)")  # fmt: skip
    add(
        "--stdin",
        metavar="FILE",
        help="input of the serial port, read to its end before"
        " the start; of a boot sector what is typed",
    )
    add("--device", action="append", default=[], metavar="FILE.py:CLASS",
        help="add a device of your own; repeatable")  # fmt: skip
    add("--engine", choices=("kvm", "emulator", "auto"), default="auto",
        help="what executes the guest (auto: /dev/kvm, else the emulator)")  # fmt: skip


def add_recording_options(parser: argparse.ArgumentParser) -> None:
    """The options of a recorded past."""
    add = parser.add_argument
    add("--recording", choices=tuple(RECORDING), default="auto",
        help="keep every step to go back to (auto: of guests up to 64M)")  # fmt: skip
    add("--record-memory", type=size, metavar="SIZE",
        help="memory for them, the oldest dropped beyond it (512M)")  # fmt: skip


def start_of(arguments: argparse.Namespace, stdin: bytes | None = None) -> Start:
    """What the arguments ask for beside the guest, where it is guided.

    Args:
        arguments: of the command line.
        stdin: the input, where it was read before: a pipe can be read once.

    Raises:
        GuestError: when the input can't be read, or is too large.
    """
    from kdash.backends.kvm.recording import LIMIT
    from kdash.backends.kvm.start import Start

    return Start(
        dict(arguments.set),
        serial_input(arguments.stdin) if stdin is None else stdin,
        RECORDING[arguments.recording],
        arguments.record_memory or LIMIT,
    )


def guest_of(arguments: argparse.Namespace) -> Guest:
    """The guest that the arguments of `add_guest_options` and `guest` ask for.

    Raises:
        GuestError: when it can't be loaded like this.
    """
    from dataclasses import replace

    from kdash.backends.kvm import guests, images
    from kdash.backends.kvm.facts import Mode

    options = images.Options(
        format=images.Format(arguments.type) if arguments.type else None,
        mode=Mode(arguments.mode) if arguments.mode else None,
        load=arguments.load,
        entry=arguments.entry,
        memory=arguments.memory,
        stack=arguments.stack,
        tables=arguments.page_tables,
        symbols=arguments.symbols,
        command_line=arguments.append,
        initrd=arguments.initrd,
        extract=not arguments.no_extract,
        vcpus=arguments.vcpus,
        irqchip=arguments.irqchip,
        cpuid=tuple(arguments.cpuid),
        record_memory=getattr(arguments, "record_memory", None),
    )
    if arguments.guest is None:
        options = replace(options, registers=guests.ARTICLE_REGISTERS)
        return images.make_guest(guests.ARTICLE_IMAGE, guests.ARTICLE_TITLE, options)
    return images.load_file(arguments.guest, options)
