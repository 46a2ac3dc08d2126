"""The configuration file: where it is, what it says, and how it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.configuration import (
    Configuration,
    ConfigurationError,
    configuration_path,
    read_configuration,
)
from kdash.settings import Layout


def read(tmp_path: Path, text: str) -> Configuration:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return read_configuration({"KDASH_CONFIG": str(path)})


def test_it_is_where_the_variables_say() -> None:
    assert configuration_path({"XDG_CONFIG_HOME": "/a"}) == Path("/a/kdash/config.toml")
    assert configuration_path({"KDASH_CONFIG": "/b.toml", "XDG_CONFIG_HOME": "/a"}) == Path(
        "/b.toml"
    )
    home = Path("~/.config/kdash/config.toml").expanduser()
    assert configuration_path({"XDG_CONFIG_HOME": "relative"}) == home
    assert configuration_path({"KDASH_CONFIG": ""}) is None


def test_without_a_file_everything_is_as_it_is(tmp_path: Path) -> None:
    assert read_configuration({"XDG_CONFIG_HOME": str(tmp_path)}) == Configuration()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="gone: No such file") as raised:
        read_configuration({"KDASH_CONFIG": str(tmp_path / "gone")})
    assert raised.value.unreadable


def test_levels_and_names_are_read(tmp_path: Path) -> None:
    text = '[stack]\nnoreturn = ["die"]\n[stack.rules]\nunreachable = "warning"\nibt = "off"\n'
    assert read(tmp_path, text) == Configuration(
        (("unreachable", "warning"), ("ibt", "off")), ("die",)
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[stack.rules]\n\nunreachable = 'loud'\n",
            ":3: [stack.rules] unreachable: 'loud' is none",
        ),
        ("# x\n[stack.rules]\nnonsense = 'off'\n", ":3: [stack.rules] nonsense: no such rule; one"),
        ("[stack]\nrules.decode = 1\n", ":2: [stack.rules] decode: '1' is none of error, warning"),
        ("[stack]\nnoreturn = 'die'\n", ":2: [stack] noreturn: not a list of names"),
        ("[stack]\nnoreturns = []\n", ":2: [stack] noreturns: no such key; one of: rules"),
        ("\n[stak]\n", ":2: stak: no such key; one of: dashboard"),
        ("stack = 1\n", ":1: stack: a table is needed"),
        ("[stack]\nrules = 3\n", ":2: [stack] rules: a table is needed"),
        ("[stack\n", ":1: Expected"),
        ("[dashboard]\ntheme = 'pink'\n", ":2: [dashboard] theme: 'pink' is none of dark, light"),
        ("[dashboard]\nascii = 1\n", ":2: [dashboard] ascii: neither true nor false"),
        ("[dashboard]\nguest = ['x']\n", ":2: [dashboard] guest: not the path of a file"),
        ("[dashboard]\nobjects = 'x'\n", ":2: [dashboard] objects: not a list of paths"),
        ("[entropy]\ninterval = true\n", ":2: [entropy] interval: no number of seconds"),
        ("[entropy]\n\ninterval = 0.1\n", ":3: [entropy] interval: no number of seconds"),
        ("[keys]\nvcpu.step = 8\n", ":2: [keys] vcpu.step: not the names of keys"),
        ("x = 1\nx = 2\n", ":2: Cannot overwrite a value"),
        ("a = 'x", ":1: "),
        ('[keys]\n"x" = "a"\n"vcpu.\\u0073tep" = 8\n', ":3: [keys] vcpu.step: not the names"),
        ("[stack]\n# watch\nnoreturn = [\n]\nwatch = 0\n", ":5: [stack] watch: no number of"),
        ("[keys]\nvcpu.step = 'a'\n'vcpu.step' = 'b'\n", ":3: [keys] vcpu.step: vcpu.step has its"),
        ("[keys]\na.b.c = 'x'\n", ":2: [keys] a.b: not the names of keys"),
        ("stack = { noreturn = ['a b'] }\n", ":1: [stack] noreturn: 'a b' is no name"),
        ('[stack]\nnoreturn = ["a\\u001b[2J"]\n', ":2: [stack] noreturn: 'a\\x1b[2J' is no name"),
        ("[layout]\nshares = [1, 2]\n", ":2: [layout] shares: not 3 whole numbers from 1 to 9"),
        ("[layout]\nshares = [1, 0, 1]\n", ":2: [layout] shares: not 3 whole numbers"),
        (
            "[layout]\nshares = [3, 1, 1]\n",
            ":2: [layout] shares: a pane would have 30 of 150 columns, "
            "48 show what it is for; side_by_side = 240 gives it that",
        ),
        (
            "[layout]\nside_by_side = 100\n",
            ":2: [layout] side_by_side: no number of columns from 144",
        ),
        ("[layout]\nside_by_side = true\n", ":2: [layout] side_by_side: no number of columns"),
        ("[layout]\nzoomed = 1\n", ":2: [layout] zoomed: neither true nor false"),
        ("a" + ".a" * 3000 + " = 1\n", ": nested too deeply"),
        ("x = " + "[" * 12 + "]" * 12 + "\n", ": nested too deeply"),
        ("\n\nx = " + "9" * 5000 + "\n", ":3: a number of too many digits"),
        ("[vcpu]\nanimation = 0x" + "f" * 5000 + "\n", ":2: [vcpu] animation: a number of more"),
        ("[vcpu]\nanimation = 0.5\n", ":2: [vcpu] animation: no whole number of steps a second"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, text)
    assert f"{tmp_path / 'config.toml'}{says}" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_layout_and_rates_are_read(tmp_path: Path) -> None:
    text = """
[layout]
side_by_side = 240
shares = [3, 1, 1]
zoomed = true
[vcpu]
animation = 100
[stack]
watch = 0.5
"""
    found = read(tmp_path, text)
    assert found.layout == Layout(240, (3, 1, 1), zoomed=True)
    assert (found.animation, found.watch) == (100, 0.5)
    assert read(tmp_path, "[layout]\nside_by_side = 0\nshares = [9, 1, 1]\n").layout.shares[0] == 9


def test_a_byte_order_mark_and_line_ends_of_other_systems_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff[stack]\r\nwatch = 2\r\n").watch == 2.0


def test_what_is_no_file_of_text_is_refused(tmp_path: Path) -> None:
    for path, says in ((tmp_path, "not a regular file"), (tmp_path / "x", ":2: no text in UTF-8")):
        if path != tmp_path:
            path.write_bytes(b"\n\xff")
        with pytest.raises(ConfigurationError, match=says):
            read_configuration({"KDASH_CONFIG": str(path)})


@given(st.text(max_size=40) | st.from_regex(r"\[stack(\.rules)?\]\n\w+ *= *[\w'\"\[\]]+"))
def test_any_text_is_a_configuration_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        read_configuration({"KDASH_CONFIG": str(path)})
    except ConfigurationError as error:
        assert str(error).startswith(str(path))


def test_the_dashboards_values_are_read_with_paths_from_the_files_folder(tmp_path: Path) -> None:
    text = """
[dashboard]
theme = "light"
ascii = true
pane = "stack"
guest = "boot.bin"
objects = ["/a/b.o", "~nobody-of-this-name/x.o"]
[entropy]
interval = 2
[keys]
"vcpu.step" = "f8"
vcpu.until = "f9,ctrl+u"
"""
    found = read(tmp_path, text)
    assert (found.theme, found.ascii, found.pane) == ("light", True, "stack")
    assert found.guest == tmp_path / "boot.bin"
    assert found.objects == (Path("/a/b.o"), tmp_path / "~nobody-of-this-name/x.o")
    assert found.interval == 2.0
    assert found.keys == (("vcpu.step", "f8"), ("vcpu.until", "f9,ctrl+u"))
    assert found.lines["keys.vcpu.until"] == 12
