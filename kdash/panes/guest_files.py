"""The dialog that opens another guest."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from kdash.panes.folders import Folders
from kdash.panes.recent_guests import recent_guests
from kdash.panes.vcpu_opening import option_names, settings_to_open
from kdash.widgets.file_dialog import FileDialog

if TYPE_CHECKING:
    from kdash.panes.vcpu_guest import GuestPane


def guest_dialog(pane: GuestPane) -> FileDialog:
    """A dialog that begins where the guest is that is shown."""
    from kdash.backends.kvm.file_kinds import file_kind

    guest = pane.settings.guest
    folder = Path.cwd() if guest is None else Path(guest).absolute().parent

    def choose(path: str, options: str) -> str:
        try:
            settings = settings_to_open(f"{shlex.quote(path)} {options}", pane.settings)
        except ValueError as error:
            return str(error)
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        pane.open_guest(settings)
        return ""

    files = Folders(file_kind, choose, recent_guests)
    return FileDialog("Open a guest", files, str(folder), options=option_names())
