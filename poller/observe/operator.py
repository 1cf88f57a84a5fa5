"""Who sits at the keyboard, for the log."""

from __future__ import annotations

import getpass


def user() -> str:
    """The user that runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
