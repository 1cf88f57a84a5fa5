"""Looks at the daemon from outside, again and again, and shows what it sees."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import aiohttp
from rich.console import Console
from rich.live import Live

from poller.demo.figures import Page, Series, shortfall
from poller.demo.journal import Journal
from poller.demo.view import Picture, line, summary, table

if TYPE_CHECKING:
    from pathlib import Path

    from poller.demo.feed import Feed
    from poller.demo.figures import Row
    from poller.demo.scene import Scene

DRAWN_EACH: Final = 0.5
WRITTEN_EACH: Final = 3.0
READ_EACH: Final = 0.05
PAGE_PATIENCE: Final = 2.0


class Watcher:
    """The daemon's pages, its log and the queues' depths, as figures. Used as an async context manager."""

    def __init__(self, *, feed: Feed, scene: Scene, log: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/metrics"
        self._feed = feed
        self._scene = scene
        self._clock = feed.clock
        self._journal = Journal(log)
        self._started = self._clock.monotonic()
        self._series = [Series(source, self._started) for source in feed.sources]

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PAGE_PATIENCE))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._session.close()

    async def run(self) -> None:
        """Shows, until it is cancelled: a table on a terminal, elsewhere a line every few seconds."""
        console = Console()
        if not console.is_terminal or console.is_dumb_terminal:
            await self._write()
            return
        with Live(console=console, auto_refresh=False, transient=False) as live:
            while True:
                await self.look()
                live.update(table(self._picture()), refresh=True)
                await asyncio.sleep(DRAWN_EACH)

    async def look(self) -> None:
        """Asks everybody once. Who does not answer is asked again the next time."""
        self._journal.read_on()
        await self._read_page()
        for series in self._series:
            if (depth := await self._scene.depth(series.source)) is not None:
                series.depth = depth

    async def keep_reading(self) -> None:
        """Pages only, as often as is sensible: the last one before the daemon ends has the final figures."""
        while True:
            await self._read_page()
            await asyncio.sleep(READ_EACH)

    def summary(self) -> list[str]:
        """What became of all orders."""
        rows = self._rows()
        return summary(rows, shortfall(rows))

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(WRITTEN_EACH)
            await self.look()
            print(line(self._picture()), flush=True)

    async def _read_page(self) -> None:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.get(self.url) as answer:
                page = Page(await answer.text())
            for series in self._series:
                series.add(page, self._clock.monotonic())

    def _rows(self) -> list[Row]:
        return [series.row(self._feed.fed[series.source.mapping]) for series in self._series]

    def _picture(self) -> Picture:
        return Picture(
            elapsed=self._clock.monotonic() - self._started,
            rate=self._feed.rate,
            metrics_url=self.url,
            rows=self._rows(),
            errors=self._journal.errors,
            log=self._journal.tail,
        )
