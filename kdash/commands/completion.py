"""`kdash completion`: what a shell needs to complete the command line."""

from __future__ import annotations

import sys
from importlib import import_module

from kdash.commands.argument_parser import Parser
from kdash.exit_status import ExitStatus

SHELLS = ("bash", "zsh", "fish")
EPILOG = """\
examples:
  source <(kdash completion bash)           this shell; in ~/.bashrc every one
  kdash completion bash > ~/.local/share/bash-completion/completions/kdash
  kdash completion zsh > ~/.zfunc/_kdash    a folder of $fpath
  kdash completion fish > ~/.config/fish/completions/kdash.fish
"""


def run(argv: list[str]) -> int:
    """Print the completions of one shell."""
    shell = completion_parser().parse_args(argv).shell
    from kdash.commands.grammar import commands

    module = import_module(f"kdash.commands.completion_{shell}")
    sys.stdout.write(module.script(commands()))
    return ExitStatus.OK


def completion_parser() -> Parser:
    """`kdash completion`."""
    parser = Parser("completion", "Print the completions of the command line for a shell.", EPILOG)
    parser.add_argument("shell", choices=SHELLS, metavar="|".join(SHELLS), help="the shell")
    return parser
