"""A service of real processes on real servers. Libraries are imported when a test needs them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("tests.support.comparison")  # so that a difference is shown

if TYPE_CHECKING:
    from tests.conftest import TestPostgres
    from tests.support.service import Service
    from weir.local.kafka import KafkaServer


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built-in model, untrained: for a base model anybody's will do."""
    from tests.support.traffic import samples
    from trainer.bootstrap import FirstTraining, build
    from trainer.version_directory import save

    return save(build(samples(), FirstTraining(), seed=0), tmp_path_factory.mktemp("model"))


@pytest.fixture
def service(kafka: str, postgres: "TestPostgres", model: Path, tmp_path: Path) -> Iterator["Service"]:
    """A service of its own topics and tables on the session's servers."""
    from tests.support.service import Service

    with closing(Service(kafka, postgres.database(), tmp_path, model)) as service:
        yield service


@pytest.fixture
def mortal(own_kafka: "KafkaServer", own_postgres: "TestPostgres", model: Path, tmp_path: Path) -> Iterator["Service"]:
    """A service on servers of its own, which a test may kill."""
    from tests.support.service import Service

    with closing(Service(own_kafka.bootstrap, own_postgres.database(), tmp_path, model)) as service:
        yield service
