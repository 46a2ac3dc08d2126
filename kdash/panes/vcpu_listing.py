"""Code that is not around CS:IP and exits of long ago, listed when asked for, and the source."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType

from kdash.backends.kvm.facts import KvmError
from kdash.panes.vcpu_guest import GuestPane
from kdash.widgets.printable import printable
from kdash.widgets.vcpu.disassembly import DisassemblyView
from kdash.widgets.vcpu.exits import ExitList

LISTED = 64  # instructions fetched at once
EARLIER = 10_000  # exits fetched at once


class ListingKeys(GuestPane):
    """Lists code and exits beyond those of the latest stop; opens the source of the code."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "Edit", show=False, id="vcpu.edit",
                tooltip="Open the source line of the cursor in the code in $EDITOR"),
    ]  # fmt: skip

    def list_code(self, ip: int, *, onward: bool = False) -> None:
        """List the code at a RIP value, or behind what is listed."""
        self.run_worker(self._list_code(ip, onward=onward), group="listing", exclusive=True)

    async def _list_code(self, ip: int, *, onward: bool) -> None:
        session = self.session
        try:
            found = await asyncio.to_thread(session.code, ip, LISTED)
        except (KvmError, TimeoutError) as error:
            self.notify(str(error) or "the guest is busy", severity="error", markup=False)
            return
        if session is not self._session:
            return
        if not found and not onward:
            self.notify(f"no memory at 0x{ip:x}", severity="error", markup=False)
        if not onward and not self._parts.code.display:
            self.show_view(self.VIEWS.index("code"))
        self._parts.code.list_code(found, onward=onward)

    def action_edit(self) -> None:
        """Open the source line under the cursor in the code in the user's editor."""
        from kdash.editor import EditorError, edit, find_source

        source = self._parts.code.source
        if source is None:
            self._refuse("no source line here: the guest, or --symbols FILE, needs DWARF (gcc -g)")
            return
        path = Path(source.path) if source.path else find_source(source.file, self._image)
        if path is None:
            self._refuse(f"{source.file}: no such file here")
            return
        try:
            edit(self.app, path, source.line)
        except EditorError as error:
            self._refuse(str(error))

    @property
    def _image(self) -> str:
        """The file with the guest's line tables."""
        symbols = getattr(self.settings.options, "symbols", None)
        return str(symbols or self.settings.guest or "")

    def _refuse(self, why: str) -> None:
        self.notify(printable(why), severity="warning", timeout=4, markup=False)

    def on_disassembly_view_wanted(self, event: DisassemblyView.Wanted) -> None:
        """The cursor left what is listed."""
        self.list_code(event.ip, onward=event.onward)

    def on_exit_list_earlier_wanted(self, event: ExitList.EarlierWanted) -> None:
        """Exits before the oldest that is listed may be looked at."""
        if self._session is not None:
            self.run_worker(self._list_earlier(event.index), group="earlier", exclusive=True)

    async def _list_earlier(self, index: int) -> None:
        session, exits = self.session, self._parts.exits
        count = exits.table.total_count + EARLIER
        try:
            found = await asyncio.to_thread(session.earlier_exits, index, count)
        except (KvmError, TimeoutError):
            return  # closed meanwhile, or busy: the next key asks again
        if session is self._session:
            exits.put_before(found)
