"""Measurements as JSON, which is the data, and as a table in Markdown, made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measurement import Aim, Measurement, Statistic, number, spread

HEAD = ("What", "kdash", "Peer", "Ratio", "Aim", "")


@dataclass(frozen=True, slots=True)
class Results:
    """One run of benchmarks: on what, and what was measured."""

    date: str  # YYYY-MM-DD
    machine: Mapping[str, str]
    measurements: Sequence[Measurement]


def write(results: Results, folder: Path, name: str) -> None:
    """Write NAME.json and NAME.md; who interrupts it finds what was there before."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, content in (("json", as_json(results)), ("md", as_markdown(results))):
        unfinished = folder / f".{name}.{kind}"
        unfinished.write_text(content, encoding="utf-8")
        unfinished.replace(folder / f"{name}.{kind}")


def as_json(results: Results) -> str:
    """The runs, with the figures that follow from them."""
    measured = [_object(one) for one in results.measurements]
    found = {"date": results.date, "machine": dict(results.machine), "measurements": measured}
    return json.dumps(found, indent=1) + "\n"


def _object(one: Measurement) -> dict[str, object]:
    runs = asdict(one) | {"statistic": one.statistic.value}
    if one.missing:
        return {"subject": one.subject, "missing": one.missing}
    rounded = {name: [float(f"{value:.5g}") for value in runs[name]] for name in ("ours", "theirs")}
    told = {"value": one.value, "peer_value": one.peer_value, "ratio": one.ratio, "met": one.met}
    return runs | rounded | told


def read(path: Path) -> Results:
    """What `write` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return Results(
        found["date"], found["machine"], [_measurement(o) for o in found["measurements"]]
    )


def _measurement(found: Mapping[str, Any]) -> Measurement:
    if found["missing"]:
        return Measurement(found["subject"], missing=found["missing"])
    aim = found["aim"]
    return Measurement(
        found["subject"],
        tuple(found["ours"]),
        found["unit"],
        found["peer"],
        tuple(found["theirs"]),
        Aim(**aim) if aim else None,
        Statistic(found["statistic"]),
        floor=found["floor"],
    )


def as_markdown(results: Results) -> str:
    """The machine as a list, the measurements as a table."""
    machine = "\n".join(f"- {name}: {value}" for name, value in results.machine.items())
    return f"# Measured on {results.date}\n\n{machine}\n\n{table(results.measurements)}"


def table(measurements: Sequence[Measurement]) -> str:
    """A table in Markdown, a line a measurement."""
    rows = [HEAD, tuple("---" for _ in HEAD), *map(_row, measurements)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(one: Measurement) -> tuple[str, ...]:
    if one.missing:
        return (one.subject, f"not measured: {one.missing.replace('|', '/')}", "", "", "", "")
    ours = f"{one.value_told} {one.unit}".strip()
    if len(one.ours) > 1:
        ours += f" ({spread(one)})"
    peer = f"{one.peer}: {number(one.peer_value)}" if one.peer_value is not None else ""
    return (one.subject, ours, peer, one.ratio_told, str(one.aim or ""), one.verdict)
