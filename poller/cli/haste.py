"""For a command that is over before its imports would be."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_PLUGINS: Final = "PYDANTIC_DISABLE_PLUGINS"
_SELDOM_NEEDED: Final = "importlib.metadata"


@contextmanager
def in_haste() -> Iterator[None]:
    """Within it pydantic is imported in two thirds of the time: without a search for plug-ins, and without collecting garbage.

    Pydantic imports `importlib.metadata`, and with it the whole of `email`, only for that search: it gets a module that loads
    itself when it is used.
    """
    before, collecting = os.environ.get(_NO_PLUGINS), gc.isenabled()
    os.environ[_NO_PLUGINS] = "__all__"
    gc.disable()
    if _SELDOM_NEEDED not in sys.modules:
        _import_when_used(_SELDOM_NEEDED)
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        if before is None:
            del os.environ[_NO_PLUGINS]
        else:
            os.environ[_NO_PLUGINS] = before


def _import_when_used(name: str) -> None:
    """The recipe of the documentation of `importlib`."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
