"""The command palette: everything a key does now, found by its words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.binding import ActiveBinding
from textual.command import DiscoveryHit, Hit, Hits, Provider

# Moving a cursor is done with its key, never from a list of commands.
LEFT_OUT = ("list.", "lines.", "part.", "steps.", "prompt.", "filter.")


class KeyProvider(Provider):
    """Offers the action of every binding that is active, with its key, and the few without one."""

    async def discover(self) -> Hits:
        """Show all of them before anything is typed."""
        for title, text, carry_out in self._entries():
            yield DiscoveryHit(title, carry_out, help=text)

    async def search(self, query: str) -> Hits:
        """Show those whose words fit `query`."""
        matcher = self.matcher(query)
        for title, text, carry_out in self._entries():
            score = max(matcher.match(title), matcher.match(text))
            if score > 0:
                yield Hit(score, matcher.highlight(title), carry_out, help=text)

    def _entries(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        """The keys of the bottom line first, as in the help; then what has no key."""
        seen = set()
        active_ones = self.screen.active_bindings.values()
        for active in sorted(active_ones, key=lambda one: not one.binding.show):
            binding = active.binding
            if not binding.id or binding.id.startswith(LEFT_OUT) or binding.id in seen:
                continue
            if active.enabled and binding.description:
                seen.add(binding.id)
                key = self.app.get_key_display(binding)
                carry_out = partial(self._carry_out, active)
                yield f"{binding.description} ({key})", active.tooltip or "", carry_out
        for command in self.app.get_system_commands(self.screen):
            yield command.title, command.help, command.callback

    async def _carry_out(self, active: ActiveBinding) -> None:
        await self.app.run_action(active.binding.action, active.node)
