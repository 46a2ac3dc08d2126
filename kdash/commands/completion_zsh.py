"""Completions for zsh: a function of _arguments for each command."""

from __future__ import annotations

from collections.abc import Sequence

from kdash.commands.grammar import Argument, Command, Kind

_HEAD = """\
#compdef kdash
# zsh completion of kdash, made by `kdash completion zsh`
"""
_TAIL = """
if [[ $funcstack[1] == _kdash ]]; then
    _kdash "$@"
else
    compdef _kdash kdash
fi
"""


def script(commands: Sequence[Command]) -> str:
    """The file _kdash, for a folder of $fpath."""
    return _HEAD + "".join(_function(command, commands) for command in commands) + _TAIL


def _function(command: Command, commands: Sequence[Command]) -> str:
    lines = ["", f"{_name(command)}() {{"]
    if command.below:
        lines += _branch(command, commands)
    lines.append("    _arguments -S \\")
    specs = [_option(option) for option in command.options]
    specs += [_positional(one, index) for index, one in enumerate(command.positionals, 1)]
    lines.append(" \\\n".join(f"        {spec}" for spec in specs))
    lines.append("}\n")
    return "\n".join(lines)


def _branch(command: Command, commands: Sequence[Command]) -> list[str]:
    """Go to the function of the word that follows; offer these words where one is typed."""
    below = [one for one in commands if one.words[:-1] == command.words and one.words]
    lines = ["    if (( CURRENT > 2 )); then", '        case "$words[2]" in']
    lines += [
        f"            {one.words[-1]}) shift words; (( CURRENT-- )); {_name(one)}; return ;;"
        for one in below
    ]
    lines += [
        "        esac",
        "    else",
        "        local -a below=(",
        *(f"            {_quoted(f'{one.words[-1]}:{_flat(one.summary)}')}" for one in below),
        "        )",
        "        _describe -t commands command below",
        "    fi",
    ]
    return lines


def _name(command: Command) -> str:
    return "_".join(("_kdash", *command.words))


def _option(option: Argument) -> str:
    text = _flat(option.text)
    names = "{" + ",".join(option.flags) + "}" if len(option.flags) > 1 else option.flags[0]
    shut = f"({' '.join(option.flags)})" if len(option.flags) > 1 else ""
    rest = f"[{text}]"
    if option.kind is not Kind.NONE:
        # A long option takes its value behind = or as the next word.
        names = f"{names}=" if len(option.flags) == 1 else names
        rest += f":{_flat(option.metavar)}:{_action(option)}"
    if option.repeats:
        return f"{_quoted('*')}{names}{_quoted(rest)}"
    return f"{_quoted(shut) if shut else ''}{names}{_quoted(rest)}"


def _positional(argument: Argument, index: int) -> str:
    place = "*" if argument.repeats else str(index)
    return _quoted(f"{place}:{_flat(argument.metavar)}:{_action(argument)}")


def _action(argument: Argument) -> str:
    words = f"({' '.join(argument.words)})"
    return {
        Kind.WORDS: words,
        Kind.FILE: "_files",
        Kind.FOLDER: "_files -/",
        Kind.WORDS_OR_FILE: f' _alternative "words:word:{words}" "files:file:_files"',
    }.get(argument.kind, " ")


def _flat(text: str) -> str:
    """Text without what _arguments and _describe take as syntax."""
    return text.replace("\\", "\\\\").replace(":", "\\:").replace("[", "\\[").replace("]", "\\]")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
