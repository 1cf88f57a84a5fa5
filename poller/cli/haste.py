"""For a command that is over before its imports would be."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_PLUGINS: Final = "PYDANTIC_DISABLE_PLUGINS"
_METADATA: Final = "importlib.metadata"


@contextmanager
def in_haste() -> Iterator[None]:
    """Within it pydantic is imported without a search for plug-ins, and no garbage is collected: a third of the time.

    Pydantic imports `importlib.metadata`, and with it the whole of `email`, only for that search.
    """
    before, collecting = os.environ.get(_NO_PLUGINS), gc.isenabled()
    os.environ[_NO_PLUGINS] = "__all__"
    gc.disable()
    sys.modules.setdefault(_METADATA, _Later(_METADATA))
    try:
        yield
    finally:
        _forget_stand_in()
        gc.freeze()  # modules stay until the end: the interpreter's last collections need not look at them
        if collecting:
            gc.enable()
        if before is None:
            del os.environ[_NO_PLUGINS]
        else:
            os.environ[_NO_PLUGINS] = before


class _Later(ModuleType):
    """Stands in for `importlib.metadata` until somebody calls what it is imported for, or asks for more."""

    @staticmethod
    def entry_points(**selection: str) -> object:
        return _metadata().entry_points(**selection)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the module has)
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_metadata(), name)


def _metadata() -> Any:  # noqa: ANN401  (the module itself)
    _forget_stand_in()
    return importlib.import_module(_METADATA)


def _forget_stand_in() -> None:
    if isinstance(sys.modules.get(_METADATA), _Later):
        del sys.modules[_METADATA]
