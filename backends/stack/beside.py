"""Findings of others, seen beside ours: each enriched from the object, where that is at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kdash.backends.stack.facts import (
    MITIGATIONS,
    OWN,
    CheckOptions,
    FileReport,
    Finding,
    Level,
    Line,
    Related,
)
from kdash.backends.stack.places import Places
from kdash.backends.stack.rules import RULES

if TYPE_CHECKING:
    from kdash.backends.stack.sites import Sites

#: Kinds that exist with the frame pointer rules alone: the build had them on.
_FRAME_KINDS: Final = frozenset({"call-without-frame", "bp-scratch"})
#: Objtool takes the ud2 of a WARN() for an end where the note that it is none was linked away.
BEHIND_WARNING: Final = "it stands behind a WARN(), which returns"
_MOST_NAMED: Final = 3  # findings of ours that a verdict names


def report_on(
    file: str, findings: list[Finding], places: Places, options: CheckOptions
) -> FileReport:
    """What others say of one object, with what the validator says of it.

    Args:
        file: the object, as they name it.
        findings: theirs.
        places: finds the object.
        options: how to validate it; levels in them beat those of the findings.
    """
    levels = dict(options.levels)
    findings = [_leveled(one, levels) for one in findings if levels.get(one.kind) != "off"]
    path, missing = places.find(file)
    if not path:
        return FileReport(file, tuple(_alone(one, missing) for one in findings))
    from kdash.backends.stack.check import Checker

    options = _as_built(options, {one.kind for one in findings})
    ours, walk = Checker(options).examine(path)
    if walk is None:
        why = f"{path}: {ours.error}"
        return replace(ours, file=file, error="", findings=tuple(_alone(f, why) for f in findings))
    from kdash.backends.stack.sites import Sites

    sites = Sites(walk)
    return replace(
        ours, file=file, findings=tuple(_beside(one, ours.findings, sites) for one in findings)
    )


def _as_built(options: CheckOptions, kinds: set[str]) -> CheckOptions:
    """Options with the rules that others must have had on to find what they did."""
    if options.frame_pointer == "auto" and kinds & _FRAME_KINDS:
        options = replace(options, frame_pointer="on")
    builds = tuple(one for one in MITIGATIONS if one in kinds or one in options.builds)
    return replace(options, builds=builds, uaccess=options.uaccess or "uaccess" in kinds)


def _leveled(finding: Finding, levels: dict[str, str]) -> Finding:
    """A finding of the level that the user chose for its kind, if any."""
    chosen = levels.get(finding.kind)
    return replace(finding, level=Level(chosen)) if chosen else finding


def _alone(theirs: Finding, why: str) -> Finding:
    """What others say, where nothing can be said beside it."""
    return replace(theirs, verdict=why, agrees=None)


def _beside(theirs: Finding, ours: tuple[Finding, ...], sites: Sites) -> Finding:
    """What others say, with what we know of the place."""
    if not theirs.function and not theirs.section:
        return _alone(theirs, "about the object as a whole")
    place = sites.look(theirs.function, theirs.section, theirs.offset)
    if place is None:
        where = theirs.function or theirs.section
        return _alone(theirs, f"the object has no {where}: not the one of these results")
    base = replace(
        theirs,
        section=place.section,
        offset=place.offset,
        address=place.address,
        source=place.source or theirs.source,
        disassembly=place.disassembly,
        found=theirs.found or place.state,
        path=theirs.path or place.path,
    )
    if not theirs.placed:
        lines = _unmarked(place.disassembly)
        base = replace(base, disassembly=lines, found=theirs.found, path=theirs.path)
    here = [one for one in ours if _is_about(one, base, sites)]
    here.sort(key=lambda one: (not _same_kind(one, base), one.kind != base.kind, _far(one, base)))
    base = replace(base, ours=tuple(Related(one.kind, one.offset) for one in here))
    if base.kind not in RULES:
        return _alone(base, "no rule of kdash's, which says nothing to it")
    if here and _same_kind(here[0], base):
        return _agreeing(base, here[0])
    finds = "kdash now finds" if base.origin == OWN else "kdash finds"
    if not here:
        why = f": {BEHIND_WARNING}" if place.behind_warning and theirs.placed else ""
        return replace(base, agrees=False, verdict=f"{finds} nothing in this function{why}")
    named = ", ".join(f"{one.kind} at +{one.offset:#x}" for one in here[:_MOST_NAMED])
    more = f" and {len(here) - _MOST_NAMED} more" if len(here) > _MOST_NAMED else ""
    return replace(base, agrees=False, verdict=f"{finds} {named}{more} instead")


#: Up to 6.4 objtool called code behind a callee that never returns just unreachable.
_UNREACHABLE = frozenset(("unreachable", "missing-noreturn"))


#: Kinds under which we report code that objtool reports at the call to it.
_CALLED: Final = frozenset(("return-outside", "not-callable", "unreachable"))


def _same_kind(one: Finding, other: Finding) -> bool:
    """Whether `one` of ours says what `other` does, itself or by what it explains."""
    kinds = {one.kind, *(related.kind for related in one.related)}
    if other.kind == "no-call-dest" and not one.function:
        kinds |= kinds & _CALLED and {"no-call-dest"}
    return other.kind in kinds or (other.kind in _UNREACHABLE and bool(kinds & _UNREACHABLE))


def _is_about(one: Finding, other: Finding, sites: Sites) -> bool:
    """Whether `one` of ours is about the place of `other`, as far as that is known."""
    if other.function and one.function == other.function:
        return True
    places = sites.code_of(one)
    if other.function:
        extent = sites.extent(other.function, other.section)
        if extent is not None and any(_within(place, extent) for place in places):
            return not one.function or len(places) > 1
        if other.kind != "no-call-dest" or one.function:
            return False
        called = sites.called(other.section, other.address)
        return called is not None and _within(places[0], called)
    if other.placed:
        return (other.section, other.address) in places
    return one.section == other.section and _same_kind(one, other)


def _within(place: tuple[str, int], extent: tuple[str, int, int]) -> bool:
    section, first, end = extent
    return place[0] == section and first <= place[1] < end


def _far(one: Finding, other: Finding) -> tuple[bool, int]:
    return one.section != other.section, abs(one.address - other.address)


def _unmarked(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Disassembly of which nobody says what the site is."""
    return tuple(replace(line, site=False) for line in lines)


def _agreeing(base: Finding, own: Finding) -> Finding:
    unplaced = not base.placed and base.function in ("", own.function)
    there = unplaced or (own.section, own.address) == (base.section, base.address)
    return replace(
        own if there else base,
        file=base.file,
        kind=base.kind,
        level=base.level,
        message=base.message,
        expected=own.expected or base.expected,
        found=own.found or base.found,
        callee=base.callee or own.callee,
        path=own.path or base.path,
        cause=own.cause,
        related=own.related,
        fingerprint=own.fingerprint,
        source=base.source or own.source,
        origin=base.origin,
        ours=base.ours,
        change=base.change,
        agrees=True,
        verdict=_elsewhere(base, own) if own.kind != base.kind or not there else "",
    )


def _elsewhere(base: Finding, own: Finding) -> str:
    """Where we find it, and as what, where one of both is not the same."""
    known_as = "it" if {own.kind, base.kind} <= {base.kind, *_UNREACHABLE} else f"it as {own.kind}"
    if (own.section, own.address) == (base.section, base.address):
        return f"kdash finds {known_as}" if known_as != "it" else ""
    place = f"+{own.offset:#x}" if own.function == base.function else own.place
    return f"kdash finds {known_as} at {place}"
