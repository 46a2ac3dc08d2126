"""Setting registers where they stand."""

from __future__ import annotations

from kdash.backends.kvm.facts import Registers
from kdash.widgets.vcpu.part import Line, Piece
from kdash.widgets.vcpu.registers import RegisterView, overlaid, spots
from tests.widgets.vcpu.made import PartApp, drawn, snapshot


class RegisterApp(PartApp):
    def __init__(self) -> None:
        self.view = RegisterView()
        super().__init__(self.view)

    def on_mount(self) -> None:
        self.view.show(snapshot(registers=Registers(rax=2, rbx=3, rip=0x1000)))
        self.view.focus()

    def on_register_view_edited(self, event: RegisterView.Edited) -> None:
        self.heard.append((event.register, event.value))


async def test_every_register_shown_has_its_spot() -> None:
    app = RegisterApp()
    async with app.run_test(size=(100, 20)) as pilot:
        await pilot.pause()
        names = [spot.name for spot in spots(app.view.lines)]
        assert len(names) == len(set(names))
        assert {"rax", "rsp", "rip", "rflags", "cs", "ss", "cr0", "efer"} <= set(names)


async def test_enter_and_digits_set_the_register_under_the_cursor() -> None:
    app = RegisterApp()
    async with app.run_test(size=(100, 20)) as pilot:
        await pilot.press("l", "enter", *"12g", "backspace", *"fE")
        assert "rbx _____1fe" in drawn(app.view)
        await pilot.press("enter")
        await pilot.pause()
        assert app.heard == [("rbx", 0x1FE)]
        assert "rbx 00000003" in drawn(app.view)


async def test_escape_leaves_the_register_as_it_was() -> None:
    app = RegisterApp()
    async with app.run_test(size=(100, 20)) as pilot:
        await pilot.press("l", "enter", "7", "escape", "j")
        await pilot.pause()
        assert app.heard == []
        assert "rax 00000002" in drawn(app.view)


async def test_no_more_digits_than_the_register_has() -> None:
    app = RegisterApp()
    async with app.run_test(size=(100, 20)) as pilot:
        await pilot.press("enter", *"123456789", "enter")
        await pilot.pause()
        assert app.heard == [("rax", 0x12345678)]


async def test_a_double_click_sets_the_register_clicked() -> None:
    app = RegisterApp()
    async with app.run_test(size=(100, 20)) as pilot:
        await pilot.pause()
        spot = next(one for one in spots(app.view.lines) if one.name == "cs")
        await pilot.click(app.view, offset=(spot.column, spot.line), times=2)
        await pilot.press("8", "enter")
        await pilot.pause()
        assert app.heard == [("cs", 8)]


def test_text_laid_over_a_line_leaves_the_rest_as_it_is() -> None:
    line = Line((Piece("abc", "muted"), Piece("def"), Piece("gh", "label")))
    over = overlaid(line, 2, "XYZ", "focused")
    assert over.text == "abXYZfgh"
    assert Piece("XYZ", "focused") in over.pieces


async def test_the_cursor_goes_when_another_part_gets_the_keyboard() -> None:
    app = RegisterApp()
    async with app.run_test(size=(100, 20)) as pilot:
        await pilot.pause()
        assert any(piece.tone == "focused" for line in app.view.lines for piece in line.pieces)
        app.set_focus(None)
        await pilot.pause()
        assert not any(piece.tone == "focused" for line in app.view.lines for piece in line.pieces)
        app.view.focus()
        await pilot.pause()
        assert any(piece.tone == "focused" for line in app.view.lines for piece in line.pieces)


async def test_the_cursor_is_seen_on_a_terminal_of_few_colours() -> None:
    app = RegisterApp()
    app.theme = "ansi-dark"
    async with app.run_test(size=(100, 20)) as pilot:
        await pilot.pause()
        app.view.render_lines(app.view.size.region)
        reversed_ = [part.text for part in app.view.render_line(0)
                     if part.style is not None and part.style.reverse]  # fmt: skip
        assert reversed_ == ["00000002"]
