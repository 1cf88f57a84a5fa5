"""Questions about functions that run elsewhere: whether they can be reached. None is invoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from poller.check.asking import explained
from poller.errors import ConfigError, PollerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from poller.apis.sdk import Json, Sdk
    from poller.check.asking import Service
    from poller.check.finding import Finding, Subject
    from poller.config import HttpFunctionConfig, LambdaFunctionConfig

PORTS: Final = {"http": 80, "https": 443}


async def ask_http(config: HttpFunctionConfig, about: Subject) -> list[Finding]:
    """Whether somebody listens at the function's URL, and can be trusted. No request is made: any would invoke an emulator."""
    where, trouble = await listens(config.url, config.ca_file, allow_link_local=config.allow_link_local)
    return [trouble(about) if trouble else about.ok(f"{where} takes connections ({config.spoken}); it is not invoked")]


async def listens(text: str, ca_file: Path | None, *, allow_link_local: bool) -> tuple[str, Callable[[Subject], Finding] | None]:
    """Host and port of a URL, and what is wrong there, to be told of somebody; None: it takes connections, and can be trusted."""
    from poller.web.client import tls  # noqa: PLC0415  (adapters are imported where they are used)
    from poller.web.reach import reach  # noqa: PLC0415  (the same)

    url = urlsplit(text)
    host, port = url.hostname or "", url.port or PORTS[url.scheme]
    try:
        context = tls(ca_file) if url.scheme == "https" else None
        await reach(host, port, context, allow_link_local=allow_link_local)
    except ConfigError as error:
        said, remedy = str(error), "correct the configuration"
    except OSError as error:
        said = f"no connection to {url.netloc}: {' '.join((error.strerror or str(error)).split())}"
        remedy = "check that it runs, its address, and the network"
    else:
        return url.netloc, None
    return url.netloc, lambda about: about.failed(said, remedy)


async def ask_lambda(config: LambdaFunctionConfig, service: Service, about: Subject) -> list[Finding]:
    """Whether the function is there and may be invoked, and how its own time-out goes with ours."""
    thing, parameters = f"Lambda function {config.function_name}", _named(config)
    try:
        await service.ask("Invoke", config.function_name, lambda client: _dry_run(client, parameters))
    except PollerError as error:
        return [explained(error, about, service, thing)]
    found = about.ok(f"{thing} may be invoked ({service.where}); it is not")
    try:
        answer = await service.ask(
            "GetFunctionConfiguration",
            config.function_name,
            lambda client: client.get_function_configuration(**parameters),
        )
    except PollerError:
        return [found, about.ok(f"{thing}: its Timeout is not for these credentials to see (lambda:GetFunctionConfiguration)")]
    return [found, *judge_lambda(config, answer, about)]


def _named(config: LambdaFunctionConfig) -> Json:
    qualifier = {} if config.qualifier is None else {"Qualifier": config.qualifier}
    return {"FunctionName": config.function_name, **qualifier}


async def _dry_run(client: Sdk, parameters: Json) -> Json:
    """Asks whether the call would be allowed. The answer has no payload, but a stream that must be closed."""
    answer: Json = await client.invoke(InvocationType="DryRun", **parameters)
    async with answer.pop("Payload"):
        return answer


def judge_lambda(config: LambdaFunctionConfig, answer: Json, about: Subject) -> list[Finding]:
    """What is to be said of a function, as GetFunctionConfiguration describes it."""
    theirs, state = answer.get("Timeout"), answer.get("State", "Active")
    findings = []
    if state not in {"Active", "Inactive"}:
        reason = answer.get("StateReason") or "it gives no reason"
        findings.append(about.warning(f"its State is {state}: {reason}", "wait until it is Active; until then, nothing is lost"))
    if isinstance(theirs, int) and config.timeout < theirs:
        text = f"timeout {config.timeout:g} is shorter than its own Timeout, {theirs} s: what still runs would be invoked again"
        findings.append(about.warning(text, f"timeout: {theirs}"))
    elif isinstance(theirs, int):
        findings.append(about.ok(f"its Timeout is {theirs} s"))
    return findings
