"""A trainer that learns further tasks, of a real buffer in which some of their labels are missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from importance.sample import Action, Correction
from storage.registry import Version
from tests.conftest import TestPostgres
from tests.integration.roles.test_trainer import TrainerWorld
from tests.support.storage import offer
from trainer import version_directory as versions
from trainer.version_directory import Model

ANSWERS = (Action.NONE, Action.CLICK, Action.CLICK | Action.ADD_TO_CART, Action.CLICK | Action.PURCHASE)


class Funnel(TrainerWorld):
    """A world whose buffer has 80 samples more, of the holdout and of negatives: all outcomes, some unrecorded."""

    def __init__(self, database_url: str, home: Path, **settings: object) -> None:
        super().__init__(database_url, home, **settings)
        self.owner.flush(
            [
                offer(
                    f"j{number}",
                    float(number),
                    "holdout" if number % 2 else "negative",
                    actions=int(ANSWERS[number // 2 % 4]),
                    subject=f"buyer {number}",
                    text=f"a lamp {number % 7}",
                    attributes={"observed": "click,add_to_cart"} if number >= 64 else {},
                )
                for number in range(80)
            ]
        )

    def learn(self, **settings: object) -> tuple[Version, Model]:
        """Let a run be made with other settings; return its candidate, registered and as stored."""
        self.settings = self.settings.model_copy(update=settings)
        self.requests.ask("ann")
        self.pass_cooldown()
        self.new_trainer(self.lock, self.trainer_metrics).poll()
        run = self.runs.last()
        assert run is not None
        assert run.candidate is not None, run.reasons
        version = self.registry.version(run.candidate)
        directory = self.artifacts.fetch(version.artifact, version.sha256, self.settings.home / version.version)
        return version, versions.load(directory, with_moments=True, with_auxiliary=True)


@pytest.fixture
def funnel(postgres: TestPostgres, tmp_path: Path) -> Iterator[Funnel]:
    world = Funnel(postgres.database(), tmp_path, gate_least_samples=4, gate_margin=0.99, control_every=1)
    yield world
    world.lock.release()
    world.engine.dispose()


def test_versions_gain_tasks_keep_them_and_lose_them_as_the_settings_name_them(funnel: Funnel) -> None:
    funnel.owner.flush(corrections=[Correction("j1", int(Action.PURCHASE))])  # it came late, and counts
    version, model = funnel.learn(train_tasks="add_to_cart,purchase=0.5")
    assert model.card.tasks == ("click", "add_to_cart", "purchase")
    found = version.metrics["tasks"]
    # Of 60 in the holdout 40 are in the funnel; 8 of these are not observed, and of 8 the cart was not seen.
    assert found["purchase"]["samples"] == 60 - 8
    assert found["purchase"]["positives"] == 8 + 1
    assert found["add_to_cart"]["samples"] == 60 - 10 - 1
    assert 0 <= found["purchase"]["auc"] <= 1
    assert version.state == "active"
    again, model = funnel.learn(train_interpolation=0.5)
    assert model.card.tasks == ("click", "add_to_cart", "purchase")
    assert again.parent == version.version
    last, model = funnel.learn(train_tasks="")
    assert model.card.tasks == ()
    assert "tasks" not in last.metrics
    assert model.network.final.out_features == 1


def test_unknown_names_of_what_is_observed_are_logged_once_a_run(funnel: Funnel) -> None:
    funnel.owner.flush(
        [
            offer(f"k{number}", 0.5, "negative", attributes={"observed": observed}, subject=f"other {number}")
            for number, observed in enumerate(("clicks, add-to-cart", "click, carts", "click"))
        ]
    )
    with capture_logs() as logged:
        funnel.learn(train_tasks="add_to_cart,purchase")
    found = [line for line in logged if "attribute observed" in line["event"]]
    assert [(line["names"], line["rows"]) for line in found] == [(("add-to-cart", "carts", "clicks"), 2)]
    with capture_logs() as logged:
        funnel.learn(train_tasks="")  # which does not read the attribute
    assert not [line for line in logged if "attribute observed" in line["event"]]
