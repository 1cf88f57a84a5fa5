"""Whether the daemon works: named checks, each with what is wrong and since when.

Liveness is not here: that the loop answers is its proof. The world outside (store, AWS) counts for readiness only, so that an
outage of theirs restarts nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poller.observe.logs import logger
from poller.observe.redact import without_passwords

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        ok: whether it passes.
        since: when that began, by the monotonic clock.
        reason: what is wrong, as the end of a sentence that begins with the check's name ("not answering"); empty if nothing is.
    """

    ok: bool
    since: float
    reason: str = ""


class Health:
    """The checks of one daemon. Each named at the start fails until it is first said to pass.

    Attributes:
        draining: the daemon is on its way out, and ready no more.
    """

    def __init__(self, clock: Clock, checks: Iterable[str] = ("config", "store")) -> None:
        self.draining = False
        self._clock = clock
        self._log = logger()
        now = clock.monotonic()
        self._checks = {name: Check(ok=False, since=now, reason="not checked yet") for name in checks}
        self._notes: dict[str, tuple[str, float]] = {}
        self._draining_since = now
        self._started = False

    @property
    def ready(self) -> bool:
        """Every check passes, and the daemon is not draining."""
        return not self.draining and self._sound

    @property
    def started(self) -> bool:
        """Every check has passed at the same time at least once."""
        return self._started or self._sound

    def passed(self, name: str) -> None:
        """This check passes now."""
        before = self._checks.get(name)
        if before is not None and before.ok:
            return
        self._checks[name] = Check(ok=True, since=self._clock.monotonic())
        self._started = self.started
        self._log.info("check_passed", check=name)

    def failed(self, name: str, reason: str) -> None:
        """This check fails now; `reason` ends a sentence that begins with its name ("not answering")."""
        before = self._checks.get(name)
        if before is None or before.ok:
            self._log.warning("check_failed", check=name, reason=reason)
        since = self._clock.monotonic() if before is None or before.ok else before.since
        self._checks[name] = Check(ok=False, since=since, reason=" ".join(without_passwords(reason).split()))

    def note(self, name: str, text: str) -> None:
        """Something that an operator should see beside the checks, and that is no reason to be unready."""
        if name not in self._notes or self._notes[name][0] != text:
            self._notes[name] = text, self._clock.monotonic()

    def drain(self) -> None:
        """The daemon is on its way out."""
        if not self.draining:
            self.draining = True
            self._draining_since = self._clock.monotonic()

    def report(self) -> list[str]:
        """A line for each check, those that fail with their reason and for how long; then the notes."""
        lines = [self._line(name, check) for name, check in self._checks.items()]
        lines += [f"[+]{name} {text} {self._for(since)}" for name, (text, since) in self._notes.items()]
        if self.draining:
            lines.append(f"[-]draining {self._for(self._draining_since)}")
        return lines

    @property
    def _sound(self) -> bool:
        return all(check.ok for check in self._checks.values())

    def _line(self, name: str, check: Check) -> str:
        return f"[+]{name} ok" if check.ok else f"[-]{name} {check.reason} {self._for(check.since)}"

    def _for(self, since: float) -> str:
        return f"since {self._clock.monotonic() - since:.0f} s"
