"""What the command words of the Entropy pane do to its model, and how refusals are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kdash.backends.entropy.facts import ModelStep
from kdash.panes import entropy_words as words
from kdash.panes.entropy_sources import Model, Sampler
from kdash.widgets.command_words import CommandError

Operation = Callable[[Model], list[ModelStep]]


def operation(command: words.StepCommand) -> Operation:
    """What a command does to the model, as steps."""
    match command:
        case words.Step(count):
            return lambda model: [model.step() for _ in range(count)]
        case words.Extract(nbytes):
            return lambda model: [model.extract(nbytes)]
        case words.Mix(data):
            return lambda model: [model.mix(data)]
        case words.Credit(bits):
            return lambda model: [model.credit(bits)]


def told(steps: Sequence[ModelStep]) -> str:
    """The last of some steps in words."""
    last = steps[-1]
    return f"#{last.index} {last.operation}; count {last.input.entropy_count / 8:.1f} bits"


@contextmanager
def refusals(name: str) -> Iterator[None]:
    """Tell what the backend refuses as a refusal of the command `name`.

    Raises:
        CommandError: The backend refused.
    """
    from kdash.backends.entropy.procfs import Unavailable

    try:
        yield
    except Unavailable as error:
        raise CommandError(f"{name}: {error}") from None


def trace_callers(sampler: Sampler, on: bool) -> str:
    """Count who calls getrandom, or stop; what to tell of it.

    Raises:
        CommandError: They can't be traced here.
    """
    with refusals("callers"):
        sampler.trace_callers(on)
    return "who calls getrandom is counted" if on else "callers are no longer counted"


def trace_random_events(sampler: Sampler, on: bool) -> str:
    """Add up what moves in the kernel's own pools, or stop; what to tell of it.

    Raises:
        CommandError: The kernel has no such events, or they can't be traced here.
    """
    with refusals("random-events"):
        sampler.trace_random_events(on)
    return "the kernel's pools are followed" if on else "the kernel's pools are no longer followed"


def measure_hwrng(sampler: Sampler) -> str:
    """Measure the hardware source; what to tell of it.

    Raises:
        CommandError: It can't be read here.
    """
    with refusals("hwrng"):
        sampler.measure_hwrng()
    return "reading the hardware source for a second"
