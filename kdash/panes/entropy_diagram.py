"""What the keys and command words of the diagram do to the Linux 4.3 model."""

from __future__ import annotations

from kdash.backends.entropy.facts import ModelStep
from kdash.backends.entropy.model_facts import ModelState
from kdash.backends.wording import factor
from kdash.panes.entropy_model_words import Setting
from kdash.panes.entropy_sources import Model
from kdash.widgets.command_words import CommandError

SPEEDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)  # of the keys; any is set by command


def redesigned(model: Model) -> list[ModelStep]:
    """Switch between the stock design and the one with a pool for each node."""
    model.set_nodes(0 if model.snapshot().nodes else model.usual_nodes)
    return []


def faster(model: Model, direction: int) -> list[ModelStep]:
    """The next speed up, or down when `direction` is negative."""
    if direction > 0:
        speed = next((speed for speed in SPEEDS if speed > model.speed), SPEEDS[-1])
    else:
        speed = next((speed for speed in reversed(SPEEDS) if speed < model.speed), SPEEDS[0])
    model.set_speed(speed)
    return []


def flipped(model: Model) -> list[ModelStep]:
    """Flip a bit of the next event, or end that."""
    if model.snapshot().spread:
        model.unflip()
    else:
        model.flip()
    return []


def set_model(model: Model, setting: Setting) -> list[ModelStep]:
    """Carry a command out.

    Raises:
        CommandError: What it asks for is out of range or can't be had.
    """
    try:
        setting.carry_out(model)
    except ValueError as error:
        raise CommandError(f"{setting.name}: {error}") from None
    return []


def feed_words(state: ModelState) -> str:
    """The clock, and what feeds and reads the model other than this machine, in few words."""
    words = [f"clock x{state.speed}"]
    if 0 < state.reached < 0.95 * state.speed:
        words[0] += f" (x{factor(state.reached)} reached)"
    if state.seed:
        words.append(f"seed {state.seed[:16]}")
    if not state.pools[2].initialized:
        words.append("boot: events go to the nonblocking pool")
    words += [f"load {kind} {rate:g}/s" for kind, rate in state.load if rate]
    waiting = sum(reader.waiting is not None for reader in state.readers)
    if waiting:
        words.append(f"{waiting} reader{'s' * (waiting != 1)} waiting")
    return ", ".join(words)
