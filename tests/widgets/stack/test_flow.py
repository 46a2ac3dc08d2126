"""The picture of a function's control flow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.app import App, ComposeResult

from kdash.backends.stack.facts import Flow, FlowBlock, FlowEdge, Line, PathStep
from kdash.widgets.stack.flow import FlowView

CFA = "CFA is rsp+8"


def block(label: str, *texts: str, leaves: str = "", site: int = -1) -> FlowBlock:
    lines = (Line(n, b"", text, n == site, CFA) for n, text in enumerate(texts))
    return FlowBlock(label, tuple(lines), leaves)


LOOP = Flow(
    "x_loop",
    (
        block("+0x0", "xor eax, eax"),
        block("+0x2", "dec edi", "jne +0x2"),
        block("+0x8", "push rbx", "jmp +0x2", site=1),
        block("+0x9", "ret", leaves="returns"),
    ),
    (
        FlowEdge(0, 0, 1, "next"),
        FlowEdge(1, 1, 3, "branch"),
        FlowEdge(1, 1, 2, "next"),
        FlowEdge(2, 1, 1, "branch", on_path=True, offending=True),
    ),
)


class FlowApp(App[None]):
    def compose(self) -> ComposeResult:
        self.view = FlowView()
        yield self.view

    def text(self) -> list[str]:
        return [strip.text.rstrip() for strip in self.screen._compositor.render_strips()]


async def drawn(flow: Flow, size: tuple[int, int] = (60, 30)) -> list[str]:
    app = FlowApp()
    async with app.run_test(size=size) as pilot:
        app.view.show(flow)
        await pilot.pause()
        await pilot.pause()
        return app.text()


async def test_boxes_stand_in_order_with_edges_beside_them_and_the_offending_one_heavy() -> None:
    lines = await drawn(LOOP, (80, 30))
    assert "heavy line: the way with the other state" in lines[0]
    heads = [line for line in lines if "┌─" in line]
    assert [line.split("┌─")[1].split()[0] for line in heads] == ["+0x0", "+0x2", "+0x8", "+0x9"]
    assert heads[1].split("┌─")[0].endswith("▶")
    assert "┏" in heads[1]  # from below
    (site,) = [line for line in lines if "▶ jmp" in line]
    assert site.startswith(("┗━", "  ┗━", "│ ┗━"))
    assert "→ +0x2 jump taken" in site
    assert any("┃" in line for line in lines)
    assert sum("│ next" in line for line in lines) == 2
    assert any("returns ─┘" in line for line in lines)


async def test_the_middle_of_a_long_block_is_left_out_but_not_the_site() -> None:
    texts = [f"mov eax, {n}" for n in range(40)]
    lines = await drawn(Flow("f", (block("+0x0", *texts, site=20),)))
    shown = [line for line in lines if "mov eax" in line]
    assert len(shown) == 9
    assert any("▶ mov eax, 20" in line for line in shown)
    assert sum("instructions" in line for line in lines) == 2


async def test_the_step_looked_at_is_marked_and_brought_onto_the_screen() -> None:
    texts = [f"mov eax, {n}" for n in range(40)]
    loop = Flow("f", (block("+0x0", *texts), *(block(f"+{n:#x}", "nop") for n in range(40, 80))))
    app = FlowApp()
    async with app.run_test(size=(60, 12)) as pilot:
        app.view.show(replace(loop, blocks=(*loop.blocks, block("+0x60", "ret", site=0))))
        await pilot.pause()
        app.view.show_step(PathStep(20, "mov eax, 20", "fallthrough"))
        await pilot.pause()
        await pilot.pause()
        assert any("» mov eax, 20" in line for line in app.text())
        app.view.show_step(PathStep(0x300, "push rbx", "fallthrough"))
        app.view.scroll_home(animate=False)
        await pilot.pause()
        assert "this step is not in the picture" in app.text()[0]


async def test_more_edges_than_lanes_are_told_in_words() -> None:
    count = 40
    blocks = tuple(block(f"+{n}", f"je +{n + 2}") for n in range(count))
    edges = tuple(FlowEdge(n, 0, count - 1, "branch") for n in range(count - 2))
    lines = await drawn(Flow("f", blocks, edges), (60, 200))
    assert sum("→ +39 jump taken" in line for line in lines) == count - 2
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("width", [10, 30, 48, 80, 160])
async def test_the_picture_keeps_to_the_width(width: int) -> None:
    lines = await drawn(LOOP, (width, 40))
    assert max(map(len, lines)) <= width


async def test_names_are_shown_and_never_obeyed() -> None:
    lines = await drawn(Flow("[b]\x1b[31m", (block("+[red]\x1b", "call [x]\n", leaves="\x1b"),)))
    text = "\n".join(lines)
    assert "[b]\\x1b[31m: 1 block, 0 edges" in text
    assert "+[red]\\x1b" in text


async def test_a_message_stands_where_there_is_no_picture() -> None:
    app = FlowApp()
    async with app.run_test(size=(60, 5)) as pilot:
        app.view.tell("no such [file]")
        await pilot.pause()
        assert app.text()[0].strip() == "no such [file]"
