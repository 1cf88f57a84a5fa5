"""Programs that speak Lambda's Runtime API, each in its own way: written to a folder, as its `bootstrap`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PRELUDE = f"""#!{sys.executable} -SI
import json, os, resource, signal, sys, time
from http.client import HTTPConnection

def call(method, path, body=None):
    connection = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, "/2018-06-01/runtime/" + path, body)
    answer = connection.getresponse()
    return answer.headers, answer.read()

def following():
    headers, event = call("GET", "invocation/next")
    return headers["Lambda-Runtime-Aws-Request-Id"], json.loads(event)

def reply(request_id, value, how="response"):
    return call("POST", "invocation/" + request_id + "/" + how, json.dumps(value))

"""

SERVES = """
while True:
    request_id, event = following()
    reply(request_id, {})
"""


LAST_BREATH = """
connection = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
connection.request("GET", "/2018-06-01/runtime/invocation/next")
answer = connection.getresponse()
answer.read()
with open("leader.new", "w") as file:
    file.write(str(os.getpid()))
os.rename("leader.new", "leader")
time.sleep(0.2)
path = "/2018-06-01/runtime/invocation/" + answer.headers["Lambda-Runtime-Aws-Request-Id"] + "/response"
connection.request("POST", path, json.dumps("x" * 150_000))
os._exit(0)
"""
"""Answers with more than one read takes, and is dead before any of it is read."""

LEAVES_TRACES = """
import subprocess

def trace(name, pid):
    open(name + ".new", "w").write(str(pid))
    os.rename(name + ".new", name)

sleep = subprocess.Popen(["sleep", "600"], env={"PATH": os.environ["PATH"]})
if os.fork() == 0:
    trace("fork", os.getpid())
    time.sleep(600)
following()
trace("sleep", sleep.pid)
trace("leader", os.getpid())
time.sleep(600)
"""
"""Leaves a fork and a child, says in files who they are, and never answers."""


def bootstrap(folder: Path, program: str) -> Path:
    """A folder of code with such a program. The functions of the prelude are there."""
    file = folder / "bootstrap"
    file.write_text(PRELUDE + program)
    file.chmod(0o755)
    return folder


def serving(value: str) -> str:
    """A program that answers with this expression, of the event perhaps, again and again."""
    return SERVES.format(value)
