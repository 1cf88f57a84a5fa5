"""Who asks the Runtime API for an invocation and when: before the answer to the last one, twice, late, and never again."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.runtime_api import NEXT, ROOT, place, until

from poller.executors import runtime_api
from poller.executors.child import UNTAKEN
from poller.executors.worker import RAISED, RETURNED


@pytest.mark.rule("runtime-api.next")
async def test_a_next_before_the_answer_gets_the_same_invocation_again() -> None:
    async with place() as here:
        first = await here.running()
        second = (await here.client()).send(NEXT)
        again = await second.answer()
        assert (again.status, again.fields["lambda-runtime-aws-request-id"]) == (200, "r")
        assert (await first.post("invocation/r/response").answer()).status == 202


async def test_a_next_that_hung_up_is_forgotten_and_the_invocation_goes_to_the_one_that_waits() -> None:
    async with place() as here:
        lost, kept = await here.ready(), (await here.client()).send(NEXT)
        await until(lambda: len(here.api._waiting) == 2)
        lost.close()
        await until(lambda: len(here.api._waiting) == 1)
        here.invoke()
        assert (await kept.answer()).status == 200


async def test_a_second_next_that_waits_is_there_for_the_next_invocation() -> None:
    async with place() as here:
        first, second = await here.ready(), (await here.client()).send(NEXT)
        await until(lambda: len(here.api._waiting) == 2)
        here.invoke("r")
        assert (await first.answer()).status == 200
        assert (await first.post("invocation/r/response").answer()).status == 202
        assert here.api.ready
        here.invoke("s")
        assert (await second.answer()).fields["lambda-runtime-aws-request-id"] == "s"


async def test_an_invocation_waits_for_a_worker_that_hung_up_until_it_asks_again() -> None:
    async with place() as here:
        lost = await here.ready()
        lost.close()
        await until(lambda: not here.api._waiting)
        assert here.api.ready
        here.invoke()
        assert (await (await here.client()).send(NEXT).answer()).status == 200
        assert here.worker.breaks.empty()


async def test_an_invocation_may_be_sent_just_before_the_worker_asks_for_it() -> None:
    async with place() as here:
        client = await here.running()
        await client.post("invocation/r/response").answer()
        await here.worker.reply()
        here.invoke("s")
        assert not here.api.taken
        assert (await client.send(NEXT).answer()).fields["lambda-runtime-aws-request-id"] == "s"
        assert here.api.taken
        await asyncio.sleep(0.02)
        client.post("invocation/s/response")
        reply = await here.worker.reply()
        assert (reply.kind, reply.sequence) == (RETURNED, 2)
        assert reply.seconds >= 0.02
        assert not here.worker.again.is_set()


async def test_an_answer_that_is_sent_again_does_not_count_for_a_retry_under_the_same_request_id() -> None:
    async with place() as here:
        client = await here.running()
        await client.post("invocation/r/response", b"1").answer()
        await here.worker.reply()
        here.invoke("r")
        again = await client.post("invocation/r/response", b"1").answer()
        assert (again.status, here.api.taken) == (403, False)
        taken = await client.send(NEXT).answer()
        assert (taken.status, here.api.taken) == (200, True)


async def test_an_invocation_that_the_worker_does_not_come_for_is_untaken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_api, "COMING_SECONDS", 0.02)
    async with place() as here:
        client = await here.running()
        await client.post("invocation/r/response").answer()
        await here.worker.reply()
        here.invoke("s")
        assert (await here.worker.reply())[:3] == (UNTAKEN, b"", 2)
        assert (await client.post("invocation/s/response").answer()).status == 403
        client.send(NEXT)
        await here.worker.asks_again()
        here.invoke("t")
        assert (await client.answer()).fields["lambda-runtime-aws-request-id"] == "t"


async def test_a_worker_that_stops_asking_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_api, "ABSENT_SECONDS", 0.02)
    async with place() as here:
        (await here.ready()).close()
        assert await here.worker.break_up() == "it stopped asking for invocations"


async def test_an_answer_that_breaks_off_is_truncated_unless_it_is_sent_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    async with place() as here:
        client = await here.running()
        half = f"POST {ROOT}invocation/r/response HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf".encode()
        other = await here.client()
        await other.send(half).writer.drain()
        other.close()
        assert (await client.post("invocation/r/response", b"1").answer()).status == 202
        assert (await here.worker.reply())[:2] == (RETURNED, b"1")
        monkeypatch.setattr(runtime_api, "RESEND_SECONDS", 0.02)
        client.send(NEXT)
        here.invoke("s")
        await client.answer()
        await client.send(half.replace(b"/r/", b"/s/")).writer.drain()
        client.close()
        reply = await here.worker.reply()
        assert (reply.kind, json.loads(reply.payload)["errorType"]) == (RAISED, "Runtime.TruncatedResponse")
