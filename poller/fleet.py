"""What runs in this process, mappings and functions, and how it becomes what another configuration says.

Only what changed is touched: a mapping that changed is drained and started anew, and so is every mapping of a function that
changed. All others never notice.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from poller.changes import changed, changed_functions
from poller.compose import make_executor, make_function, make_mapping, permit_limits
from poller.drain import Drain
from poller.errors import ConfigError, Unavailable
from poller.mapping import run_mapping
from poller.observe.logs import logger
from poller.observe.standing import Troubles
from poller.queue import QueueMapping, run_queue
from poller.retry import transport_wait

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from poller.admin.health import Health
    from poller.compose import Parts
    from poller.config import Config, MappingConfig
    from poller.mapping import StreamMapping
    from poller.observe.standing import Trouble
    from poller.ports import Executor
    from poller.reload import Reloads

    AnyMapping = StreamMapping | QueueMapping

FIXED = ("store", "http", "log")
"""Sections that count only at the start."""

PAUSE = 5.0
"""Seconds before another reload after one that crashed."""

log = logger()


@dataclass(slots=True)
class Member:
    """A mapping that runs.

    Attributes:
        made: what runs; None while what it needs cannot be reached.
        drain: its own.
        task: it, running.
    """

    config: MappingConfig
    drain: Drain = field(default_factory=Drain)
    made: AnyMapping | None = None
    task: asyncio.Task[None] | None = None


class Fleet:
    """The mappings and functions of this process. Used as an async context manager around `run`.

    Attributes:
        config: what runs now.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._members: dict[str, Member] = {}
        self._open: dict[str, AsyncExitStack] = {}
        self._group = asyncio.TaskGroup()
        self._firsts: dict[str, AnyMapping | None] = {}
        self._troubles: dict[str, Troubles] = {}

    @property
    def config(self) -> Config:
        """What runs now."""
        return self._parts.config

    @property
    def parts(self) -> Parts:
        """What the mappings share now."""
        return self._parts

    @property
    def members(self) -> Mapping[str, Member]:
        """The mappings that run, by name."""
        return self._members

    def trouble(self, name: str) -> Trouble | None:
        """What kept a mapping from being made, the last time."""
        return self._troubles[name].last if name in self._troubles else None

    async def __aenter__(self) -> Self:
        """Opens the functions, and makes the mappings. Raises `ConfigError` for what only the world could tell."""
        try:
            await self._open_functions(self._executors(self.config.functions, self.config))
            self._firsts = {each.name: await self._first(each) for each in enabled(self.config)}
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Closes the functions."""
        for name in reversed(list(self._open)):
            await self._close(name)

    async def run(self, drain: Drain, health: Health, reloads: Reloads | None = None) -> None:
        """Runs all, and follows reloads, until the drain is done."""
        log.info("started", mappings=len(self._firsts), functions=len(self._open), store=self.config.store.shown_url)
        health.passed("config")
        async with self._group:
            for config in enabled(self.config):
                self._start(config, self._firsts.pop(config.name))
            following = None if reloads is None else self._group.create_task(self._follow(reloads, health))
            await drain.wait()
            health.drain()
            log.info("draining", timeout_s=self.config.drain_timeout)
            if following is not None:
                following.cancel()
            await self._stop(list(self._members.values()))

    async def apply(self, config: Config) -> None:
        """Becomes what `config` says.

        Raises `ConfigError`, with nothing changed, where a function cannot be made, or a new one not be opened. One that has
        changed is opened when its former self is done: where that fails, it and its mappings are tried again by the next reload.
        """
        config = self._with_fixed(config)
        functions = changed_functions(self.config, config)
        again = [name for name in config.functions if name in functions or name not in self._open]
        executors = self._executors(again, config)
        now = {each.name: each for each in enabled(config)}
        stop = [member for member in self._members.values() if self._affected(member, config, functions, now)]
        await self._open_new({name: executors.pop(name) for name in tuple(executors) if name not in self._open}, config)
        for member in stop:
            if member.made is not None:
                member.made.work.observe.state("Updating" if member.config.name in now else "Deleting")
        self._parts.permits.resize(*permit_limits(config))
        for name, function in self._parts.functions.items():
            if name in config.functions:
                function.observe.limit(config.functions[name].concurrency)
        self._start_missing(now.values(), waiting=executors)
        await self._stop(stop)
        for member in stop:
            if member.made is not None:
                member.made.work.observe.close()
        await self._close_functions([name for name in self._open if name in executors or name not in config.functions])
        try:
            await self._open_functions(executors)
        finally:
            self._start_missing(now.values(), waiting=executors.keys() - self._open.keys())
        log.info("reloaded", stopped=len(stop), mappings=len(self._members), functions=len(self._open))

    def _with_fixed(self, config: Config) -> Config:
        """The configuration, but for what counts at the start only; says so where that has changed."""
        for name in FIXED:
            if getattr(config, name) != getattr(self.config, name):
                log.warning("needs_restart", section=name)
        return config.model_copy(update={name: getattr(self.config, name) for name in FIXED})

    def _affected(self, member: Member, config: Config, functions: list[str], now: Mapping[str, MappingConfig]) -> bool:
        """Whether a mapping that runs is gone, or another one, or feeds a function that is."""
        after = now.get(member.config.name)
        return after is None or after.function_name in functions or changed(self.config, config, member.config, after)

    # ------------------------------------------------------------------------------------------------------------- reloads

    async def _follow(self, reloads: Reloads, health: Health) -> None:
        """Every configuration that comes, one after the other."""
        while True:
            try:
                config = await reloads.next()
                await self.apply(config)
            except ConfigError as error:
                reloads.failed(error)
                health.note("reload", "failed: the log says why, what ran goes on")
            except Exception as error:  # what runs must not die of a change that went wrong
                log.exception("reload_crashed")
                reloads.failed(ConfigError(f"{type(error).__name__}: {error}"))
                health.note("reload", "crashed: the log says why")
                await asyncio.sleep(PAUSE)
            else:
                reloads.succeeded(config)
                health.note("reload", "ok")

    # ----------------------------------------------------------------------------------------------------------- functions

    def _executors(self, names: Iterable[str], config: Config) -> dict[str, Executor]:
        """What will run these functions, or `ConfigError` and no trace of them."""
        try:
            return {name: make_executor(name, config, self._parts) for name in names}
        except ConfigError:
            self._forget_functions()
            raise

    def _forget_functions(self) -> None:
        """The series of functions that are not configured go."""
        for name in [name for name in self._parts.observers if name not in self.config.functions]:
            self._parts.observers.pop(name).close()

    async def _open_new(self, executors: dict[str, Executor], config: Config) -> None:
        """From now on the configuration is this one, with its new functions; where one cannot be opened, it is what it was."""
        before, self._parts = self._parts, replace(self._parts, config=config)
        try:
            await self._open_functions(executors)
        except BaseException:
            self._parts = before
            await self._close_functions([name for name in executors if name in self._open])
            raise

    async def _open_functions(self, executors: dict[str, Executor]) -> None:
        """All that can be. Raises `ConfigError` for the first that cannot, whatever its executor raised."""
        wrong: ConfigError | None = None
        for name, executor in executors.items():
            try:
                async with AsyncExitStack() as stack:
                    self._parts.functions[name] = await make_function(name, executor, self._parts, stack)
                    self._open[name] = stack.pop_all()
            except ConfigError as error:
                wrong = wrong or ConfigError(f"function {name}: {error}")
            except Exception as error:  # most likely a plug-in's
                log.exception("crashed", function=name, what="opening", error=f"{type(error).__name__}: {error}")
                wrong = wrong or ConfigError(f"function {name} cannot be opened: {type(error).__name__}: {error}")
        if wrong is not None:
            raise wrong

    async def _close(self, name: str) -> None:
        """The others are closed too, whatever becomes of this one."""
        try:
            await self._open.pop(name).aclose()
        except Exception as error:
            log.exception("crashed", function=name, what="closing", error=f"{type(error).__name__}: {error}")

    async def _close_functions(self, names: Iterable[str]) -> None:
        """Their workers end. The series of those that are gone for good go with them."""
        for name in names:
            self._parts.functions.pop(name, None)
            await self._close(name)
        self._forget_functions()

    # ------------------------------------------------------------------------------------------------------------ mappings

    async def _first(self, config: MappingConfig) -> AnyMapping | None:
        """The mapping at the start of the process, where what only the world can tell is still a reason to exit."""
        try:
            return await self._try(config)
        except ConfigError as error:
            raise ConfigError(f"mapping {config.name}: {error}") from error

    def _start_missing(self, configs: Iterable[MappingConfig], waiting: Container[str] = ()) -> None:
        """Starts what does not run yet, but for what waits until its function, or its former self by another name, is done."""
        running = {member.config.uuid for member in self._members.values()}
        for config in configs:
            if config.name not in self._members and config.uuid not in running and config.function_name not in waiting:
                self._start(config, None)

    def _start(self, config: MappingConfig, made: AnyMapping | None) -> None:
        member = self._members[config.name] = Member(config=config, made=made)
        member.task = self._group.create_task(self._run(member), name=config.name)

    async def _run(self, member: Member) -> None:
        """One mapping; where what it needs cannot be reached, as soon as it can. No other mapping waits for it."""
        failures = 0
        while member.made is None:
            try:
                member.made = await self._try(member.config)
            except ConfigError as error:
                log.warning("failing", mapping=member.config.name, what="mapping", kind="ConfigError", error=str(error))
                self._note(member.config.name, "ConfigError", error)
            except Exception as error:  # the others run on
                log.exception("crashed", mapping=member.config.name, what="mapping", error=f"{type(error).__name__}: {error}")
                self._note(member.config.name, "crash", error)
            if member.made is None:
                failures += 1
                await member.drain.sleep(transport_wait(failures, self._parts.world.rng))
                if member.drain.started:
                    return
        made = member.made
        await (run_queue(made, member.drain) if isinstance(made, QueueMapping) else run_mapping(made, member.drain))

    async def _try(self, config: MappingConfig) -> AnyMapping | None:
        """The mapping; None, and a line in the log, where its credentials or services cannot be reached for now."""
        try:
            return await make_mapping(config, self._parts)
        except Unavailable as error:
            log.warning("failing", mapping=config.name, what="mapping", kind=error.kind, error=str(error))
            self._note(config.name, error.kind, error)
        return None

    def _note(self, name: str, kind: str, error: Exception) -> None:
        """For `trouble`."""
        self._troubles.setdefault(name, Troubles(self._parts.world.clock)).note("mapping", kind, str(error))

    async def _stop(self, members: Iterable[Member]) -> None:
        """Drains these mappings side by side; what still runs after the time-out is cancelled."""
        tasks = {member.task: member for member in members if member.task is not None}
        for member in tasks.values():
            member.drain.start()
        late = (await asyncio.wait(tasks, timeout=self.config.drain_timeout))[1] if tasks else set()
        for task in late:
            log.warning("drain_timeout", mapping=task.get_name())
            task.cancel()
        if late:
            await asyncio.wait(late)
        for member in tasks.values():
            self._members.pop(member.config.name, None)


def enabled(config: Config) -> list[MappingConfig]:
    """The mappings that are to run."""
    return [each for each in config.event_source_mappings if each.enabled]
