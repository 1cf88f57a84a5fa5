"""The configuration: YAML in, one frozen `Config` out, or every problem at once.

`load.py` is the way in. `parse.py` reads YAML that it does not trust into a tree that knows its places; `merge.py` lays the
trees of a folder over each other; `model.py`, `functions.py` (with a file for each executor), `streams.py` and `queues.py` say
what may be written, and what it means.
"""

from __future__ import annotations

from poller.config.functions import (
    FunctionConfig,
    HttpFunctionConfig,
    InlineFunctionConfig,
    LambdaFunctionConfig,
    PluginFunctionConfig,
    ProcessFunctionConfig,
)
from poller.config.load import load
from poller.config.mappings import MappingConfig, QueueMappingConfig, StreamMappingConfig
from poller.config.model import AwsConfig, Config, Connection, HttpConfig, LogConfig, StoreConfig
from poller.config.problem import InvalidConfig, Problem, shown

__all__ = [
    "AwsConfig",
    "Config",
    "Connection",
    "FunctionConfig",
    "HttpConfig",
    "HttpFunctionConfig",
    "InlineFunctionConfig",
    "InvalidConfig",
    "LambdaFunctionConfig",
    "LogConfig",
    "MappingConfig",
    "PluginFunctionConfig",
    "Problem",
    "ProcessFunctionConfig",
    "QueueMappingConfig",
    "StoreConfig",
    "StreamMappingConfig",
    "load",
    "shown",
]
