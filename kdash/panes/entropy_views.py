"""The five views of the Entropy pane, and which of them are on screen in the room there is."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Container

from kdash.widgets.entropy.contention_view import ContentionView
from kdash.widgets.entropy.diagram_view import DiagramView
from kdash.widgets.entropy.health_view import HealthView
from kdash.widgets.entropy.kernel_view import KernelView
from kdash.widgets.entropy.pool_view import PoolView
from kdash.widgets.pane import Pane
from kdash.widgets.restyle import set_classes

BESIDE = 104  # cells; from here on kernel and pool stand side by side
STACKED = 40  # lines; from here on they stand below each other
KERNEL, POOL, DIAGRAM, CONTENTION, HEALTH = range(5)  # ordinals of the views
ALONE = {DIAGRAM: "-diagram", CONTENTION: "-contention", HEALTH: "-health"}  # their classes


class EntropyViews(Pane):
    """Lays the views out: kernel and pool together where both fit, the others alone."""

    NAME: ClassVar[str] = "Entropy"
    VIEWS: ClassVar[tuple[str, ...]] = (
        "this kernel", "Linux 4.3 pool (model)", "Linux 4.3 diagram (model)", "contention",
        "stream health",
    )  # fmt: skip

    DEFAULT_CSS = """
    EntropyViews #entropy-views { layout: vertical; }
    EntropyViews ToneLines { width: 1fr; height: 1fr; }
    EntropyViews.-kernel PoolView, EntropyViews.-pool KernelView { display: none; }
    EntropyViews DiagramView, EntropyViews ContentionView, EntropyViews HealthView {
        display: none;
    }
    EntropyViews.-diagram DiagramView, EntropyViews.-contention ContentionView { display: block; }
    EntropyViews.-health HealthView { display: block; }
    EntropyViews.-alone KernelView, EntropyViews.-alone PoolView { display: none; }
    EntropyViews.-beside #entropy-views { layout: horizontal; }
    EntropyViews.-beside PoolView { border-left: solid $border; padding-left: 1; }
    EntropyViews.-beside KernelView { padding-right: 1; }
    EntropyViews.-stacked KernelView { height: 1fr; }
    EntropyViews.-stacked PoolView { height: 18; border-top: solid $border; }
    """

    def compose(self) -> ComposeResult:
        """Lay out the views."""
        with Container(id="entropy-views"):
            yield KernelView(id="entropy-kernel")
            yield PoolView(id="entropy-pool")
            yield DiagramView(id="entropy-diagram")
            yield ContentionView(id="entropy-contention")
            yield HealthView(id="entropy-health")

    @property
    def kernel_view(self) -> KernelView:
        """The running kernel's generator."""
        return self.query_one(KernelView)

    @property
    def pool_view(self) -> PoolView:
        """The model's input pool."""
        return self.query_one(PoolView)

    @property
    def diagram(self) -> DiagramView:
        """The whole model."""
        return self.query_one(DiagramView)

    @property
    def contention_view(self) -> ContentionView:
        """What readers cost each other."""
        return self.query_one(ContentionView)

    @property
    def health_view(self) -> HealthView:
        """The tests of a stream."""
        return self.query_one(HealthView)

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002 - the base class has it
        """Show both views where there is room for both."""
        self.show_arranged()

    def show_arranged(self) -> None:
        """Show what belongs to the chosen view in the room there is."""
        width, height = self.content_size.width, self.content_size.height
        beside = width >= BESIDE
        stacked = not beside and height >= STACKED
        alone = self.view in ALONE
        one = alone or (not beside and not stacked)
        classes = {
            "-beside": beside and not alone,
            "-stacked": stacked and not alone,
            "-alone": alone,
            "-kernel": one and self.view == KERNEL,
            "-pool": one and self.view == POOL,
        }
        set_classes(self, classes | {name: self.view == view for view, name in ALONE.items()})
        self.border_subtitle = self.VIEWS[self.view] if one else ""

    def reveal(self, index: int) -> None:
        """Switch to a view that is not on screen, so that what a key did is seen."""
        view = self.pool_view if index == POOL else self.kernel_view
        if not view.display and not (index == POOL and self.diagram.display):
            self.show_view(index)

    def focus_content(self) -> None:
        """Give the keyboard to the view that is shown."""
        views = self.query(
            (KernelView, PoolView, DiagramView, ContentionView, HealthView)[self.view]
        )
        if views:
            self.screen.set_focus(views.first())
        else:
            super().focus_content()
