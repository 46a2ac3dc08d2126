"""kdash: a terminal dashboard for three kernel subsystems."""

__version__ = "0.1.0"
__version_date__ = "2026-11-23"  # that of its section in CHANGELOG.md
