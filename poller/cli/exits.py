"""Exit codes."""

from __future__ import annotations

from typing import Final

EX_OK: Final = 0
EX_USAGE: Final = 2
"""As argparse exits."""

EX_CONFIG: Final = 78
"""As sysexits.h has it; a service manager should not restart after it."""

SIGNALLED: Final = 128
"""Plus the number of the signal that ended it, as shells have it."""
