"""Completions for bash: one function, which needs nothing but bash (4.4 or newer)."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from kdash.commands.grammar import Argument, Command, Kind

_SCRIPT = """\
# bash completion of kdash, made by `kdash completion bash`

_kdash() {{
    local IFS=$' \\t\\n'
    local line=${{COMP_LINE:0:COMP_POINT}} options= below= kind= names= words
    # The words as typed: bash takes them apart at = and :.
    read -a words <<< "$line"
    [[ $line == *[[:blank:]] ]] && words+=('')
    local last=$(( ${{#words[@]}} - 1 ))
    local typed=${{words[last]}} before=${{words[last-1]}} file=${{COMP_WORDS[COMP_CWORD]}}
    local command= path
    case "${{words[1]-}} ${{words[2]-}}" in
{commands}
    esac
    # A command's own word is not behind it yet.
    (( last == 1 )) && command=
    (( last == 2 )) && command=${{command%% *}}
    case "$command" in
{grammar}
    esac
    local plain=$kind plain_names=$names
    kind= names=
    if [[ $typed == --*=* ]]; then
        before=${{typed%%=*}} typed=${{typed#*=}}
        [[ $file == = ]] && file=
    fi
    case "$command:$before" in
{values}
    esac
    COMPREPLY=()
    if [[ -z $kind ]]; then
        if [[ $typed == -* ]]; then
            COMPREPLY=($(compgen -W "$options" -- "$typed"))
            return
        fi
        kind=$plain names=$plain_names
        # Nothing may stand between a command and what it has below it.
        read -a path <<< "$command"
        (( last == ${{#path[@]}} + 1 )) && [[ -n $below ]] && names+=" $below"
    fi
    case $kind in
        file|either)
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$file") ;;
        folder)
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$file") ;;
    esac
    if [[ -n $names ]]; then
        local one kept=
        # What stands before the last = is there already.
        [[ $typed == *=* ]] && kept=${{typed%=*}}=
        for one in $(compgen -W "$names" -- "$typed"); do
            COMPREPLY+=("${{one#"$kept"}}")
        done
    fi
}}

complete -F _kdash kdash
"""
_KINDS = {
    Kind.TEXT: "text",
    Kind.WORDS: "words",
    Kind.FILE: "file",
    Kind.FOLDER: "folder",
    Kind.WORDS_OR_FILE: "either",
}


def script(commands: Sequence[Command]) -> str:
    """The script to be sourced, or put where bash looks for the completions of kdash."""
    return _SCRIPT.format(
        commands="\n".join(_path(command) for command in reversed(commands) if command.words),
        grammar="\n".join(_grammar(command) for command in commands),
        values="\n".join(
            _value(command, option)
            for command in commands
            for option in command.options
            if option.kind is not Kind.NONE
        ),
    )


def _path(command: Command) -> str:
    name = " ".join(command.words)
    pattern = f"'{name}'" if len(command.words) == 2 else f"'{name} '*"
    return f"        {pattern}) command='{name}' ;;"


def _grammar(command: Command) -> str:
    """The options of one command, and what may stand without one."""
    flags = " ".join(flag for option in command.options for flag in option.flags)
    parts = [f"options={quote(flags)}"]
    if command.below:
        parts.append(f"below={quote(' '.join(command.below))}")
    kinds = {one.kind for one in command.positionals}
    names = " ".join(word for one in command.positionals for word in one.words)
    if kinds & {Kind.FILE, Kind.WORDS_OR_FILE}:
        parts.append("kind=file")
    if names:
        parts.append(f"names={quote(names)}")
    return f"        '{' '.join(command.words)}') {' '.join(parts)} ;;"


def _value(command: Command, option: Argument) -> str:
    patterns = "|".join(f"'{' '.join(command.words)}:{flag}'" for flag in option.flags)
    names = f" names={quote(' '.join(option.words))}" if option.words else ""
    return f"        {patterns}) kind={_KINDS[option.kind]}{names} ;;"
