"""Is ready, and dies at once: a thread waits until the main one waits for work."""

from __future__ import annotations

import os
import sys
import threading


def die() -> None:
    main = threading.main_thread().ident
    while main is None or sys._current_frames()[main].f_code.co_name != "serve":
        pass
    os._exit(3)


threading.Thread(target=die, daemon=True).start()


def handler(event: object, context: object) -> None:
    raise AssertionError("nobody gets this far")
