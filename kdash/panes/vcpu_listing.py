"""Code in the VCPU pane that is not around CS:IP: listed when it is asked for."""

from __future__ import annotations

import asyncio

from kdash.backends.kvm.facts import KvmError
from kdash.panes.vcpu_guest import GuestPane
from kdash.widgets.vcpu.disassembly import DisassemblyView

LISTED = 64  # instructions fetched at once


class ListingKeys(GuestPane):
    """Lists the code at an address, and what comes behind it as one goes down."""

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

    def on_disassembly_view_wanted(self, event: DisassemblyView.Wanted) -> None:
        """The cursor left what is listed."""
        self.list_code(event.ip, onward=event.onward)
