"""How many slots poll a queue, over any course of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from poller.core.scaling import PollerLimits, PollerScale

limits = st.builds(PollerLimits, quiet=st.integers(1, 5), polls=st.integers(1, 20), batches=st.integers(1, 20))
events = st.lists(st.tuples(st.sampled_from(["batch", "done", "nothing"]), st.booleans(), st.booleans()), max_size=60)


class Queue:
    """Slots that do what they are told: `polling` and `working` of them."""

    def __init__(self, of: PollerLimits) -> None:
        self.scale = PollerScale(of)
        self.working = 0
        self.start(of.first)

    def start(self, count: int) -> None:
        for _ in range(count):
            self.scale.started()
            self.scale.polls()

    def batch(self, *, full: bool, free: bool) -> None:
        if self.scale.polling:
            self.scale.stops_polling()
            self.working += 1
            self.start(self.scale.missing(full=full, free=free))

    def done(self, **_: bool) -> None:
        if self.working:
            self.working -= 1
            if self.scale.crowded():
                self.scale.ended()
            else:
                self.scale.polls()

    def nothing(self, **_: bool) -> None:
        if self.scale.polling and self.scale.superfluous():
            self.scale.stops_polling()
            self.scale.ended()


@given(limits, events)
def test_it_never_passes_its_limits_and_never_stops_polling_while_it_may(
    of: PollerLimits, course: list[tuple[str, bool, bool]]
) -> None:
    queue = Queue(of)
    for name, full, free in course:
        getattr(queue, name)(full=full, free=free)
        assert queue.scale.slots == queue.scale.polling + queue.working <= of.batches
        assert min(of.first, of.batches - queue.working) <= queue.scale.polling <= of.polls


@given(limits)
def test_polls_double_with_each_round_of_full_receives(of: PollerLimits) -> None:
    queue = Queue(of)
    for _ in range(of.batches):
        before = queue.scale.polling
        for _ in range(before):
            queue.batch(full=True, free=True)
        room = of.batches - queue.working
        assert queue.scale.polling == max(0, min(2 * before, of.polls, room)) or queue.scale.polling == room


@given(limits, st.integers(0, 40))
def test_a_quiet_queue_is_left_with_the_quiet_number(of: PollerLimits, batches: int) -> None:
    queue = Queue(of)
    for _ in range(batches):
        queue.batch(full=True, free=True)
    for _ in range(queue.working):
        queue.done()
    for _ in range(queue.scale.polling):
        queue.nothing()
    assert queue.scale.slots == of.first


def test_nobody_starts_more_than_the_quiet_number_where_nothing_could_run() -> None:
    queue = Queue(PollerLimits(quiet=1, polls=10, batches=10))
    queue.batch(full=True, free=False)
    assert (queue.scale.polling, queue.working) == (1, 1)
