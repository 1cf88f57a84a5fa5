"""What operators ask of SQS beside what mappings do, through aiobotocore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from poller.apis.errors import Call, perform
from poller.apis.sqs import BotoSqsApi, to_send
from poller.ports import EntryFailure
from poller.services import MoveTask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.apis.sdk import Json
    from poller.services import Outgoing

PAGE: Final = 1000
"""Queues of one answer, at the most."""

TASKS: Final = 10
"""Tasks that SQS tells of."""


class BotoDeadLetterApi(BotoSqsApi):
    """`DeadLetterApi` over clients of `AwsClients`."""

    async def send_messages(self, queue_arn: str, messages: Sequence[Outgoing]) -> tuple[str | EntryFailure, ...]:
        """See `DeadLetterApi.send_messages`."""
        entries = [{"Id": str(index), **_entry(message)} for index, message in enumerate(messages)]
        call = Call("SendMessageBatch", queue_arn)
        return await self._ask(
            call, self._client.send_message_batch, {"Entries": entries}, lambda answer: _sent(answer, len(entries))
        )

    async def dead_letter_sources(self, queue_arn: str) -> tuple[str, ...]:
        """See `DeadLetterApi.dead_letter_sources`."""
        call, found, page = Call("ListDeadLetterSourceQueues", queue_arn), list[str](), dict[str, str]()
        while True:
            given = {"MaxResults": PAGE, **page}
            answer = await self._ask(call, self._client.list_dead_letter_source_queues, given, dict)
            found += [_arn(url, queue_arn) for url in answer.get("queueUrls") or []]
            if not (token := answer.get("NextToken")):
                return tuple(found)
            page = {"NextToken": token}

    async def purge_queue(self, queue_arn: str) -> None:
        """See `DeadLetterApi.purge_queue`."""
        await self._ask(Call("PurgeQueue", queue_arn), self._client.purge_queue, {}, dict)

    async def start_move(self, queue_arn: str, destination_arn: str, rate: int | None) -> str:
        """See `DeadLetterApi.start_move`."""
        given: Json = {"SourceArn": queue_arn, "DestinationArn": destination_arn}
        if rate is not None:
            given["MaxNumberOfMessagesPerSecond"] = rate
        call = Call("StartMessageMoveTask", queue_arn)
        request = self._client.start_message_move_task(**given)
        return await perform(call, request, lambda answer: str(answer["TaskHandle"]), self._timeout)

    async def move_tasks(self, queue_arn: str) -> tuple[MoveTask, ...]:
        """See `DeadLetterApi.move_tasks`."""
        request = self._client.list_message_move_tasks(SourceArn=queue_arn, MaxResults=TASKS)
        return await perform(Call("ListMessageMoveTasks", queue_arn), request, _tasks, self._timeout)

    async def cancel_move(self, queue_arn: str, handle: str) -> None:
        """See `DeadLetterApi.cancel_move`."""
        request = self._client.cancel_message_move_task(TaskHandle=handle)
        await perform(Call("CancelMessageMoveTask", queue_arn), request, dict, self._timeout)


def _entry(message: Outgoing) -> Json:
    entry: Json = {"MessageBody": message.body}
    if message.attributes:
        entry["MessageAttributes"] = {name: to_send(given) for name, given in message.attributes.items()}
    if message.group is not None:
        entry["MessageGroupId"] = message.group
    if message.deduplication is not None:
        entry["MessageDeduplicationId"] = message.deduplication
    if message.trace is not None:
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": message.trace}}
    return entry


def _sent(answer: Json, entries: int) -> tuple[str | EntryFailure, ...]:
    """An entry that the answer does not name has failed."""
    taken = {int(entry["Id"]): str(entry["MessageId"]) for entry in answer.get("Successful") or []}
    refused = {int(entry["Id"]): entry for entry in answer.get("Failed") or []}
    return tuple([taken[index] if index in taken else _refused(index, refused.get(index)) for index in range(entries)])


def _refused(index: int, entry: Json | None) -> EntryFailure:
    if entry is None:
        return EntryFailure(index, gone=False, detail="missing")
    detail = ": ".join([str(entry[key]) for key in ("Code", "Message") if entry.get(key)])
    return EntryFailure(index, gone=bool(entry.get("SenderFault")), detail=detail)


def _tasks(answer: Json) -> tuple[MoveTask, ...]:
    return tuple([_task(given) for given in answer.get("Results") or []])


def _task(given: Json) -> MoveTask:
    in_all = given.get("ApproximateNumberOfMessagesToMove")
    return MoveTask(
        handle=str(given.get("TaskHandle") or ""),
        status=str(given["Status"]),
        moved=int(given.get("ApproximateNumberOfMessagesMoved") or 0),
        in_all=None if in_all is None else int(in_all),
        reason=str(given.get("FailureReason") or ""),
    )


def _arn(url: str, like: str) -> str:
    """The ARN of a queue in the region of another one."""
    account, name = url.rstrip("/").split("/")[-2:]
    return ":".join([*like.split(":")[:4], account, name])
