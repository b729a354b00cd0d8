"""Times that a user gives."""

from datetime import UTC, datetime

import pytest

from importance.errors import InvalidInput
from weir.cli.times import moment


@pytest.mark.parametrize("text", ["2026-01-01T08:53:00Z", "2026-01-01T10:53:00+02:00", "2025-12-31 23:53-09:00"])
def test_a_time_is_one_moment_whatever_its_offset(text: str) -> None:
    assert moment(text) == datetime(2026, 1, 1, 8, 53, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-01", "2026-01-01T08:53:00", "2026-02-30T08:53:00Z"])
def test_a_time_without_offset_or_of_no_date_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="write it as 2026-01-01T08:53:00Z"):
        moment(text)
