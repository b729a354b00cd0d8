"""Every buffer, for the suites that run over all of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.buffers import SharedBuffer


@pytest.fixture(scope="module", params=["memory", "postgres"])
def buffer(request: pytest.FixtureRequest) -> "Iterator[SharedBuffer]":
    from tests.contract.buffers import InMemory, InPostgres

    if request.param == "memory":
        yield InMemory()
        return
    pooled = InPostgres(request.getfixturevalue("postgres").database())
    yield pooled
    for engine in pooled.engines:
        engine.dispose()
