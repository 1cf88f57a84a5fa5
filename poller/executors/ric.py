"""Runs the handler with the runtime interface client `awslambdaric` that is installed for this interpreter.

A program, `python ric.py HANDLER`, under the function's interpreter: only the standard library, any Python from 3.8 on. It does
what `python -m awslambdaric HANDLER` does in the function's folder, but says what is missing where the package is, and sets
AWS_EXECUTION_ENV. Importing it does nothing.
"""

# pathlib takes long to import
# ruff: noqa: PTH109

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import sys

PACKAGE = "awslambdaric"


def main() -> None:
    """Becomes awslambdaric; where that is not installed, reports it as an error of initialisation and ends."""
    sys.path[0] = os.getcwd()
    os.environ.setdefault("AWS_EXECUTION_ENV", f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}")
    if importlib.util.find_spec(PACKAGE) is None:
        text = f"{PACKAGE} is not installed for {sys.executable}: pip install {PACKAGE}"
        report(text)
        sys.exit(text)
    runpy.run_module(PACKAGE, run_name="__main__", alter_sys=True)


def report(text: str) -> None:
    """Tells the Runtime API why there will be no function here."""
    from http.client import HTTPConnection  # noqa: PLC0415 - takes long to import

    error = {"errorMessage": text, "errorType": "Runtime.ImportModuleError", "requestId": "", "stackTrace": []}
    server = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    server.request("POST", "/2018-06-01/runtime/init/error", json.dumps(error))
    server.getresponse().read()


if __name__ == "__main__":
    main()
