"""Tasks inside of functions, from an injected /proc and from this machine's."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.stack.livepatch import NoTasksError, frames_of, look_at_tasks, read_patches
from kdash.backends.stack.livepatch_facts import Frame, Reliability, module_name
from kdash.backends.stack.livepatch_text import reliability_lines, task_lines, tasks_json
from kdash.backends.stack.object_files import sample_paths
from kdash.backends.stack.reliability import reliability_of
from kdash.commands.stack import run

SLEEPER = """\
[<0>] hrtimer_nanosleep+0x74/0xf0
[<0>] x_wait.constprop.0+0x10/0x40 [x_net]
[<0>] entry_SYSCALL_64_after_hwframe+0x76/0x7e
"""


class System:
    """A /proc and /sys of our own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "proc").mkdir()

    def task(
        self, pid: int, stack: str, *, tid: int = 0, name: str = "worker", state: str = "S",
        flags: int = 0, patched: str = "",
    ) -> Path:  # fmt: skip
        folder = self.root / "proc" / str(pid) / "task" / str(tid or pid)
        folder.mkdir(parents=True)
        (folder / "stack").write_text(stack)
        (folder / "comm").write_text(f"{name}\n")
        (folder / "stat").write_text(f"{pid} (a) b) {state} 1 1 1 0 -1 {flags} 0 0\n")
        if patched:
            (folder / "patch_state").write_text(f"{patched}\n")
        return folder

    def patch(self, name: str, enabled: str, transition: str, functions: tuple[str, ...]) -> None:
        folder = self.root / "sys/kernel/livepatch" / name
        for function in functions:
            (folder / function).mkdir(parents=True)
        (folder / "enabled").write_text(f"{enabled}\n")
        (folder / "transition").write_text(f"{transition}\n")


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def test_frames_are_read_with_module_and_without_in_both_layouts() -> None:
    text = "[<ffffffff81>] f+0x1/0x2\n[<0>] g+0x1f/0x40 [x_net]\njunk\n[<0>] 0xffffffff81000000\n"
    assert frames_of(text) == (Frame("f", 1), Frame("g", 0x1F, "x_net"))


@given(st.text())
def test_any_text_is_taken_for_a_stack_without_failing(text: str) -> None:
    frames_of(text)


def test_a_task_is_inside_of_a_function_that_the_compiler_copied(system: System) -> None:
    system.task(7, SLEEPER, tid=8, name="x [b]", state="D")
    system.task(9, "[<0>] do_select+0x1/0x2\n")
    tasks = look_at_tasks(["x_wait"], root=str(system.root))
    (inside,) = tasks.inside
    assert (inside.pid, inside.tid, inside.name, inside.state) == (7, 8, "x [b]", "D")
    assert inside.frames == (Frame("x_wait.constprop.0", 0x10, "x_net"),)
    assert (tasks.read, tasks.empty, tasks.unread) == (2, 0, ())
    text = "\n".join(task_lines(tasks))
    assert "1 task is inside of x_wait now, of 2 read" in text
    assert "7/8 x [b]: x_wait.constprop.0+0x10 [x_net] (in an uninterruptible sleep" in text
    assert "state D can hold the transition up" in text
    assert "built without CONFIG_LIVEPATCH" in text


def test_a_function_of_another_module_is_another_one(system: System) -> None:
    system.task(7, SLEEPER)
    assert look_at_tasks(["x_wait"], "x_net", str(system.root)).inside
    assert not look_at_tasks(["x_wait"], "y_net", str(system.root)).inside


def test_kernel_threads_asleep_inside_are_told_apart(system: System) -> None:
    system.task(7, SLEEPER, flags=0x00200040)
    tasks = look_at_tasks(["x_wait"], root=str(system.root))
    assert tasks.inside[0].kernel
    assert "kernel threads take no signal" in "\n".join(task_lines(tasks))


def test_stacks_that_cannot_be_read_are_counted_and_named(system: System) -> None:
    system.task(7, "")
    refused = system.task(8, SLEEPER, name="locked")
    (refused / "stack").unlink()
    (refused / "stack").mkdir()  # reading fails, even as root
    tasks = look_at_tasks(["x_wait"], root=str(system.root))
    assert [(one.tid, one.name, one.reason) for one in tasks.unread] == [
        (8, "locked", "Is a directory")
    ]
    text = "\n".join(task_lines(tasks))
    assert "not known of 1 that could not be read (1 by 'Is a directory'): 8 locked" in text
    assert "1 had no kernel stack to show" in text
    assert tasks_json(tasks)["unreadable"] == [
        {"pid": 8, "tid": 8, "name": "locked", "reason": "Is a directory"}
    ]


def test_where_no_stack_can_be_read_nothing_is_claimed(system: System) -> None:
    with pytest.raises(NoTasksError, match="no task to be seen"):
        look_at_tasks(["f"], root=str(system.root))
    folder = system.task(8, "")
    (folder / "stack").unlink()
    with pytest.raises(NoTasksError, match="CONFIG_STACKTRACE"):
        look_at_tasks(["f"], root=str(system.root))
    (folder / "stack").mkdir()
    with pytest.raises(NoTasksError, match="none of 1 stacks in /proc can be read: Is a directory"):
        look_at_tasks(["f"], root=str(system.root))


def test_names_that_are_no_symbols_of_the_kernel_are_told(system: System) -> None:
    system.task(7, SLEEPER)
    symbols = "0000 T x_wait.constprop.0\t[x_net]\n0000 t do_select\n0000 T f\n"
    (system.root / "proc" / "kallsyms").write_text(symbols)
    tasks = look_at_tasks(["x_wait", "do_selct"], root=str(system.root))
    assert tasks.unknown == ("do_selct",)
    assert "misspelt): do_selct" in "\n".join(task_lines(tasks))


def test_patches_that_are_loaded_and_who_holds_up_their_transition(system: System) -> None:
    system.patch("fix1", "1", "1", ("x_net/x_wait,1", "vmlinux/f,2"))
    system.task(7, SLEEPER, patched="0")
    system.task(8, "", patched="1")
    tasks = look_at_tasks(["x_wait"], root=str(system.root))
    assert tasks.patches is not None
    (patch,) = tasks.patches
    assert (patch.name, patch.enabled, patch.transition) == ("fix1", True, True)
    assert [(one.object, one.function, one.position) for one in patch.functions] == [
        ("vmlinux", "f", 2), ("x_net", "x_wait", 1)
    ]  # fmt: skip
    assert tasks.pending == (7,)
    text = "\n".join(task_lines(tasks))
    assert "patch fix1: enabled, transition under way, 2 functions; replaces x_wait already" in text
    assert "the transition waits for tasks 7" in text


def test_without_livepatch_in_the_kernel_there_are_no_patches(tmp_path: Path) -> None:
    assert read_patches(str(tmp_path)) is None


@pytest.mark.root
def test_a_sleeping_child_is_found_by_the_function_it_sleeps_in() -> None:
    child = subprocess.Popen(["sleep", "600"])
    try:
        stack = Path(f"/proc/{child.pid}/stack")
        asleep: list[str] = []
        while not asleep:
            time.sleep(0.01)
            asleep = [one.function for one in frames_of(_read(stack)) if "sleep" in one.function]
        tasks = look_at_tasks(asleep[:1])
        assert child.pid in {one.pid for one in tasks.inside}
        assert tasks.read > 1
        assert not tasks.unknown
    finally:
        child.kill()
        child.wait()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except PermissionError as error:
        pytest.skip(f"this machine lets nobody read kernel stacks: {error}")


# --- reliability


def test_an_object_is_judged_by_its_functions() -> None:
    sample = next(path for path in sample_paths() if path.endswith("idle_enter.o"))
    verdicts = reliability_of(sample)
    assert {one.function: one.reliable for one in verdicts} == {
        "idle_enter": False, "resume_user": False, "idle_poll": False,
    }  # fmt: skip
    text = "\n".join(reliability_lines(verdicts))
    assert "reliable: no, because 3 of its 3 functions break a rule" in text
    assert "idle_enter: stack traces through this are reliable: no, because of sibling" in text


def test_many_reasons_are_counted_after_the_first_ones() -> None:
    one = Reliability("x.o", "f", tuple(f"reason {n}" for n in range(9)))
    assert reliability_lines([one, Reliability("x.o", "g")])[-1] == "    and 5 more like these"


@pytest.mark.gcc
def test_code_that_keeps_the_rules_is_reliable_and_code_left_out_is_not(tmp_path: Path) -> None:
    source = tmp_path / "x.S"
    source.write_text(
        ".text\n.globl f\n.type f,@function\nf: ret\n.size f,.-f\n"
        ".globl g\n.type g,@function\ng: push %rbx\n ret\n.size g,.-g\n"
        '.section .discard.func_stack_frame_non_standard,"aw"\n.quad g\n'
    )
    made = tmp_path / "x.o"
    subprocess.run(["gcc", "-c", str(source), "-o", str(made)], check=True)
    verdicts = {one.function: one for one in reliability_of(str(made))}
    assert verdicts["f"].reliable
    assert "STACK_FRAME_NON_STANDARD" in verdicts["g"].reasons[0]
    clean = reliability_lines([verdicts["f"]])
    assert clean == [
        f"{made}: stack traces through this are reliable: yes, because its 1 function keeps"
        " the rules"
    ]


# --- the command


def test_the_command_tells_tasks_and_exits_by_what_it_found(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    system.task(7, SLEEPER)
    root = ["--root", str(system.root)]
    assert run(["livepatch", *root, "x_wait"]) == 1
    assert "1 task is inside of x_wait" in capsys.readouterr().out
    assert run(["livepatch", *root, "f", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"]["inside"] == []
    assert run(["livepatch", "--root", f"{system.root}/none", "f"]) == 3
    assert "No such file" in capsys.readouterr().err


def test_the_command_judges_an_object_before_it_looks(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    system.task(7, SLEEPER)
    sample = os.path.relpath(sample_paths()[0])
    assert run(["livepatch", "--root", str(system.root), sample]) == 1
    out = capsys.readouterr().out
    assert f"{sample}: stack traces through this are reliable: no" in out
    assert "no task is inside of" in out
    assert run(["livepatch", "--root", str(system.root), "./none.o"]) == 3


def test_a_file_of_a_module_names_the_module() -> None:
    assert module_name("drivers/x-net.ko.zst") == "x_net"
    assert module_name("drivers/x-net.o") == ""


def test_code_outside_of_functions_is_no_function_more() -> None:
    bad = [
        Reliability("x.o", "f", ("why",)),
        Reliability("x.o", "g"),
        Reliability("x.o", "", ("w",)),
    ]
    told = "1 of its 2 functions and code outside of functions break a rule"
    assert reliability_lines(bad)[0].endswith(told)
    assert reliability_lines(bad[:2])[0].endswith("1 of its 2 functions breaks a rule")


def test_a_function_that_is_named_is_judged_by_the_file_of_its_module(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    system.task(7, "")
    symbols = "0000 T idle_enter.cold\t[idle_mod]\n0000 t do_select\n"
    (system.root / "proc" / "kallsyms").write_text(symbols)
    kernel = system.root / "proc" / "sys" / "kernel"
    kernel.mkdir(parents=True)
    (kernel / "osrelease").write_text("6.1.0\n")
    modules = system.root / "lib" / "modules" / "6.1.0" / "kernel"
    modules.mkdir(parents=True)
    sample = next(path for path in sample_paths() if path.endswith("idle_enter.o"))
    (modules / "idle-mod.ko").write_bytes(Path(sample).read_bytes())
    root = ["--root", str(system.root)]
    assert run(["livepatch", "idle_enter", "do_select", *root]) == 1
    told = capsys.readouterr().out
    assert "idle_enter: stack traces through this are reliable: no, because of sibling" in told
    assert "do_select: whether stack traces through this are reliable is not known: it is" in told
    assert run(["livepatch", "idle_poll", *root, "--object", sample, "--format", "json"]) == 1
    (verdict,) = json.loads(capsys.readouterr().out)["reliability"]
    assert (verdict["function"], verdict["reliable"]) == ("idle_poll", False)
