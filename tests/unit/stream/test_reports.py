"""One line when a dependency goes, one when it is back, however many tasks notice."""

from stream.reports import Availability, Change, Report


def changes(*steps: tuple[str, str]) -> list[Report]:
    """Play (away or back, witness) steps for one dependency; what was reported."""
    reported: list[Report] = []
    availability = Availability(reported.append)
    for step, witness in steps:
        if step == "unavailable":
            availability.unavailable("storage", witness, f"{witness} sees no storage")
        else:
            availability.recovered("storage", witness)
    return reported


def test_many_failures_are_one_change() -> None:
    assert changes(("unavailable", "partition 0"), ("unavailable", "partition 0"), ("unavailable", "partition 1")) == [
        Change("storage", available=False, reason="partition 0 sees no storage")
    ]


def test_it_is_back_when_the_last_that_missed_it_reaches_it() -> None:
    steps = (("unavailable", "partition 0"), ("unavailable", "partition 1"), ("recovered", "partition 0"))
    assert len(changes(*steps)) == 1
    assert [change.available for change in changes(*steps, ("recovered", "partition 1"))] == [False, True]


def test_success_without_a_failure_before_says_nothing() -> None:
    assert changes(("recovered", "partition 0")) == []


def test_a_witness_that_is_gone_no_longer_complains() -> None:
    reported: list[Report] = []
    availability = Availability(reported.append)
    availability.unavailable("kafka", "partition 0", "no answer")
    assert availability.reasons == {"kafka": "no answer"}
    availability.forget("partition 0")
    assert availability.reasons == {}
    assert [change.available for change in reported] == [False, True]


def test_what_work_complains_of_is_no_outage_while_the_probe_has_its_answer() -> None:
    availability = Availability(lambda report: None)
    availability.unavailable("kafka", "partition 0", "refused")
    assert availability.is_unavailable("kafka")  # nobody knows better
    availability.probed("kafka", "probe", None)
    assert not availability.is_unavailable("kafka")
    assert availability.reasons == {"kafka": "refused"}  # but not well either
    availability.probed("kafka", "probe", "no answer")
    assert availability.is_unavailable("kafka")
    assert not availability.is_unavailable("storage")
