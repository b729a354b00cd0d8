"""When a replay's records may go. The clock is the test's; nothing waits for real."""

from threading import Event

from stream.replay import Pace


class Clock:
    """A clock that a wait moves, as an event that is never set does."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Wait(Event):
    """An event whose waiting costs no time of the test but moves its clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.now += timeout or 0.0
        return self.is_set()


def test_a_record_is_due_when_its_event_time_has_passed_at_the_given_speed() -> None:
    clock = Clock()
    pace = Pace(speed=60.0, clock=clock)
    assert pace.due_in_seconds(1_000_000) == 0.0
    # An hour of event time at 60 seconds a second is a minute.
    assert pace.due_in_seconds(1_000_000 + 3_600_000) == 60.0
    clock.now += 45.0
    assert pace.due_in_seconds(1_000_000 + 3_600_000) == 15.0


def test_without_a_speed_everything_is_due() -> None:
    for speed in (None, 0, 0.0):
        pace = Pace(speed=speed)
        assert pace.due_in_seconds(0) == 0.0
        assert pace.due_in_seconds(10**12) == 0.0


def test_waiting_ends_when_the_record_is_due() -> None:
    clock = Clock()
    pace = Pace(speed=2.0, clock=clock, stop=Wait(clock))
    pace.due_in_seconds(0)
    pace.wait_for(10_000)
    assert clock.now == 105.0
    pace.wait_for(9_000)
    assert clock.now == 105.0


def test_waiting_ends_at_once_when_stopped() -> None:
    pace = Pace(speed=0.001)
    pace.due_in_seconds(0)
    pace.stop.set()
    pace.wait_for(10**9)


def test_time_spent_held_is_not_made_up_for() -> None:
    clock = Clock()
    answers = iter([True] * 40)
    pace = Pace(speed=1.0, clock=clock, stop=Wait(clock), hold=lambda: next(answers, False))
    pace.due_in_seconds(0)
    pace.wait_while_held()
    assert clock.now > 101.0
    assert abs(pace.due_in_seconds(5_000) - 5.0) < 1e-9


def test_a_hold_ends_when_stopped() -> None:
    pace = Pace(hold=lambda: True)
    pace.stop.set()
    pace.wait_while_held()
