"""Its initialisation takes for ever, and leaves a trace that it has begun."""

from __future__ import annotations

import os
import time
from pathlib import Path

if "BEGUN" in os.environ:
    Path(os.environ["BEGUN"]).touch()
time.sleep(600)
