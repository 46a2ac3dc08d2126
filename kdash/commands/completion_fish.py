"""Completions for fish: a `complete` for each option, under the condition of its command."""

from __future__ import annotations

from collections.abc import Sequence

from kdash.commands.grammar import Argument, Command, Kind

_HEAD = """\
# fish completion of kdash, made by `kdash completion fish`

# Whether the words typed so far are those of this command.
function __kdash_is
    set -l typed (commandline -opc)
    set -e typed[1]
    set -l at (count $argv)
    test (count $typed) -ge $at; or return 1
    test $at -eq 0; or test "$typed[1..$at]" = "$argv"
end

# Whether its words alone are typed: a command below it may follow.
function __kdash_alone
    __kdash_is $argv; and test (count (commandline -opc)) -eq (math (count $argv) + 1)
end

# Whether it is this command and none of those below it, whose words follow `--`.
function __kdash_itself
    set -l end (contains -i -- -- $argv)
    set -l own
    test $end -gt 1; and set own $argv[1..(math $end - 1)]
    __kdash_is $own; or return 1
    set -l typed (commandline -opc)
    set -l next (math (count $own) + 2)
    test (count $typed) -lt $next; and return 0
    not contains -- $typed[$next] $argv[$end..-1]
end

complete -c kdash -f
"""


def script(commands: Sequence[Command]) -> str:
    """The script for fish's folder of completions."""
    lines = [_HEAD]
    for command in commands:
        if command.below:
            lines += _words_below(command, commands)
        condition = f"-n {_quoted('__kdash_itself ' + _condition(command))}"
        lines += [f"complete -c kdash {condition} {_option(one)}" for one in command.options]
        for one in command.positionals:
            if text := _value(one):
                lines.append(f"complete -c kdash {condition} {text}")
    return "\n".join(lines) + "\n"


def _condition(command: Command) -> str:
    return " ".join((*command.words, "--", *command.below))


def _words_below(command: Command, commands: Sequence[Command]) -> list[str]:
    alone = _quoted(" ".join(("__kdash_alone", *command.words)))
    return [
        f"complete -c kdash -n {alone} -a {one.words[-1]} -d {_quoted(one.summary.rstrip('.'))}"
        for one in commands
        if one.words and one.words[:-1] == command.words
    ]


def _option(option: Argument) -> str:
    parts = [
        f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags
    ]
    if option.kind is not Kind.NONE:
        parts.append("-x" if option.kind in (Kind.TEXT, Kind.WORDS) else "-r")
        if value := _value(option):
            parts.append(value)
    return " ".join([*parts, f"-d {_quoted(option.text)}"])


def _value(argument: Argument) -> str:
    words = f"-a {_quoted(' '.join(argument.words))}" if argument.words else ""
    return {
        Kind.WORDS: words,
        Kind.FILE: "-F",
        Kind.FOLDER: "-a '(__fish_complete_directories)'",
        Kind.WORDS_OR_FILE: f"-F {words}",
    }.get(argument.kind, "")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
