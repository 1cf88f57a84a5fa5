"""How the properties of this folder run: without deadlines, as the machine may be busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("core", deadline=None)
settings.load_profile("core")
