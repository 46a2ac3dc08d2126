"""kdash: a terminal dashboard for three kernel subsystems."""

__version__ = "0.1.0"
