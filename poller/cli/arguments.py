"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path


def config_path(text: str) -> Path:
    """A file or a folder. An empty text is a shell variable that is not set, not the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)
