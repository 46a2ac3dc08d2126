"""`kdash entropy model` without vectors: the model event by event, as a user calls it."""

import json
import signal
from typing import Any

import pytest

from kdash.backends.entropy.live_model import LiveModel
from kdash.commands import entropy


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert entropy.run(["model", *arguments, "--format", "json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_equal_seeds_print_equal_events_and_others_do_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = printed(capsys, "--seed", "2015", "--count", "50")
    assert first == printed(capsys, "--seed", "0x2015", "--count", "50")
    assert first != printed(capsys, "--seed", "2016", "--count", "50")
    assert [event["index"] for event in first] == list(range(50))
    assert sorted(event["seconds"] for event in first) == [event["seconds"] for event in first]


def test_the_events_are_those_that_the_dashboard_steps_through(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = LiveModel()
    model.restart(b"\x20\x15")
    assert [event["event"] for event in printed(capsys, "--seed", "2015", "--count", "30")] == [
        model.step().operation for _ in range(30)
    ]


def test_an_event_tells_each_counter_and_word_it_changed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    state: dict[tuple[str, str], Any] = {}
    for event in printed(capsys, "--seed", "7", "--count", "200", "--nodes", "2"):
        assert set(event["pools"]) == {"input", "blocking", "nonblocking", "nonblocking 1"}
        for place, change in event["changes"].items():
            if place not in event["pools"]:
                continue
            for name, (before, after) in change["counters"].items():
                assert state.setdefault((place, name), before) == before
                assert event["pools"][place][name] == after
                state[place, name] = after
            for index, (before, after) in change["words"].items():
                assert state.setdefault((place, index), before) == before != after
                state[place, index] = after
    assert state


def test_the_load_and_the_readers_are_the_ones_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    load = ("--irq", "0", "--disk", "100", "--input", "0")
    reads = ("--read", "random,0", "--read", "getrandom,0", "--read", "urandom,50,7")
    told = {event["event"] for event in printed(capsys, "--seed", "1", *load, *reads)}
    assert "/dev/urandom: 7 of 7 bytes" in told
    assert all(text.startswith(("disk 8:0 done", "/dev/urandom")) for text in told)


def test_text_lines_stand_below_the_names_of_their_pools(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert entropy.run(["model", "--seed", "1", "--count", "3", "--nodes", "3"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["seconds", "in", "blck", "non0", "non1", "non2", "event"]
    assert [line.index("irq") for line in lines] == [head.index("event")] * 3


def test_this_machines_events_are_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = printed(capsys, "--feed", "machine", "--interval", "0.25", "--count", "1")
    assert line["seconds"] > 0
    assert "input" in line["pools"]


def test_a_signal_ends_a_run_with_whole_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, steps = LiveModel.step, 0

    def step(model: LiveModel) -> object:
        nonlocal steps
        steps += 1
        if steps == 5:
            signal.raise_signal(signal.SIGINT)
        return real(model)

    monkeypatch.setattr(LiveModel, "step", step)
    assert entropy.run(["model", "--seed", "1", "--count", "999", "--format", "json"]) == 130
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seed", "xyz"], "is not hexadecimal"), (["--seed", ""], "out of range; 1 to 390"),
        (["--seed", "1", "--nodes", "65"], "1 to 64"), (["--seed", "1", "--irq", "-1"], "0 to"),
        (["--seed", "1", "--irq", "nan"], "0 to"), (["--seed", "1", "--disk", "x"], "--disk"),
        (["--seed", "1", "--read", "urandom"], "DEVICE,RATE"),
        (["--seed", "1", "--read", "random,1,0"], "1 to 512"),
        (["--seed", "1", "--read", "hwrng,1"], "random, urandom, getrandom"),
        (["--seed", "1", "--speed", "5"], "goes with --feed"),
        (["--feed", "machine", "--speed", "0"], "x1 to x3600"),
        (["--seed", "1", "--count", "0"], "from 1"), (["--seed", "1", "--feed", "trace"], "--seed"),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_told_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        entropy.run(["model", *arguments])
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (2, "")
    assert captured.err.count("\n") == 1
    assert said in captured.err
