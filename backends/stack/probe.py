"""What the validator needs from its surroundings, for `kdash doctor`."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version

from kdash.backends.stack.facts import Probe
from kdash.backends.stack.object_files import sample_paths

_REINSTALL = "install kdash again with its dependencies"


def probe_stack() -> tuple[Probe, ...]:
    """Try the decoder and the readers on bundled objects."""
    return _probe_decoder(), _probe_reader(), _probe_compiler()


def _probe_decoder() -> Probe:
    name = "x86 decoder"
    try:
        from iced_x86 import Decoder, Mnemonic

        works = Decoder(64, b"\x55").decode().mnemonic == Mnemonic.PUSH
        detail = f"iced-x86 {version('iced-x86')}"
    except (ImportError, PackageNotFoundError, OSError) as error:
        return Probe(name, "failed", f"iced-x86 can't be used: {error}", _REINSTALL)
    if not works:
        return Probe(name, "failed", f"{detail} decodes 0x55 wrongly", _REINSTALL)
    return Probe(name, "ok", detail)


def _probe_reader() -> Probe:
    name = "ELF and DWARF reader"
    try:
        from kdash.backends.stack.check import Checker

        detail = f"pyelftools {version('pyelftools')}"
        reports = [Checker().check(path, sample=True) for path in sample_paths()]
    except (ImportError, PackageNotFoundError, OSError) as error:
        return Probe(name, "failed", f"it can't be used: {error}", _REINSTALL)
    broken = [report for report in reports if report.error]
    if broken or not reports:
        reason = broken[0].error if broken else "the bundled objects are missing"
        return Probe(name, "failed", f"{detail}: {reason}", _REINSTALL)
    findings = [finding for report in reports for finding in report.findings]
    lines = sum(finding.source is not None for finding in findings)
    if not lines:
        return Probe(name, "failed", f"{detail} finds no source line", _REINSTALL)
    return Probe(name, "ok", f"{detail}: {len(findings)} findings, {lines} with a source line")


def _probe_compiler() -> Probe:
    name = "gcc"
    found = shutil.which("gcc")
    if found is None:
        return Probe(
            name,
            "warning",
            "not found; only the tests need it",
            "install gcc to run the tests that assemble their inputs",
        )
    return Probe(name, "ok", found)
