"""The scorer: what it says, and versions that change between two batches."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from importance.errors import BadArtifact, Unavailable
from importance.mixture import NAMES, parse
from importance.quality import tally
from importance.sample import Outcome, Sample
from importance.scores import BASELINE, MIRROR, REFERENCE, SHADOW
from importance.selection import quantile_threshold
from trainer import version_directory as versions
from trainer.bootstrap import from_pretrained
from trainer.forward import run
from trainer.memory import weights_of
from trainer.ranker import Ranker
from trainer.scorer import Scorer, ScoringConfig
from trainer.tokens import item_text

from .conftest import ARCHITECTURES, hugging_face_directory

CPU = torch.device("cpu")


@pytest.fixture
def scorer(first: Path) -> Scorer:
    """Serves the first version, which is also the baseline."""
    scorer = Scorer(ScoringConfig(parse("last_layer_norm")), CPU)
    scorer.compare(BASELINE, "1", first)
    scorer.swap("1", first)
    return scorer


def damaged(source: Path, into: Path, value: float) -> Path:
    """A copy of a version whose last bias is another number."""
    shutil.copytree(source, into)
    weights = load_file(into / "model.safetensors")
    weights["final.bias"] = torch.full_like(weights["final.bias"], value)
    save_file(weights, into / "model.safetensors")
    (into / "state.safetensors").unlink()  # it belongs to the weights that were
    return into


def test_scores_come_in_the_order_of_the_samples(scorer: Scorer, first: Path, samples: list[Sample]) -> None:
    model = versions.load(first)
    scores = scorer.score(samples)
    assert scores.prediction is not None
    for row in (0, 17, 599):
        alone = run(model, model.tokens.encode([samples[row]])).prediction[0]
        assert scores.prediction[row] == pytest.approx(alone, abs=1e-5)


def test_embeddings_are_the_baselines_in_the_order_of_the_samples_and_only_on_request(
    scorer: Scorer, first: Path, tmp_path: Path, samples: list[Sample]
) -> None:
    assert scorer.score(samples[:2]).embeddings is None
    watching = Scorer(ScoringConfig(parse("uniform"), embeddings=True), CPU)
    watching.swap("2", damaged(first, tmp_path / "2", 0.5))
    alone = watching.score(samples[:300]).embeddings
    watching.compare(BASELINE, "1", first)
    compared = watching.score(samples[:300]).embeddings
    assert alone is not None
    assert compared is not None
    assert (alone.version, compared.version) == ("2", "1")
    model = versions.load(first)
    for row in (0, 17, 299):
        one = run(model, model.tokens.encode([samples[row]]), keep_hidden=True).hidden
        assert one is not None
        assert compared.values[row] == pytest.approx(one[0], abs=1e-5)


def test_scores_name_version_estimator_mean_and_threshold(scorer: Scorer, first: Path, samples: list[Sample]) -> None:
    scores = scorer.score(samples[:3])
    assert (scores.model, scores.predictions[BASELINE].version, scores.estimator) == ("1", "1", "last_layer_norm")
    measured = versions.load(first).measured["last_layer_norm"]
    assert scores.mean_importance == measured.mean()
    assert scores.top_threshold == quantile_threshold(measured, 0.1)


def test_nothing_is_scored_to_nothing(scorer: Scorer) -> None:
    assert len(scorer.score([])) == 0


def test_a_version_in_shadow_predicts_the_samples_that_are_compared_and_answers_as_a_canary(
    scorer: Scorer, second: Path, samples: list[Sample]
) -> None:
    even = np.arange(600) % 2 == 0
    scorer.compare(SHADOW, "2", second, lambda _: even)
    scorer.compare(MIRROR, "1", second)  # in memory, so that the directory is not read: it is the baseline
    scores = scorer.score(samples)
    shadow = scores.predictions[SHADOW].values
    assert np.isnan(shadow[~even]).all()
    canary = Ranker(scorer, 0, SHADOW)
    answered, _ = canary.predict(pairs := [(item_text(sample), sample.query) for sample in samples])
    assert answered.version == "2"
    np.testing.assert_allclose(shadow[even], answered.values[even], atol=1e-6)
    np.testing.assert_array_equal(scores.predictions[MIRROR].values, scores.prediction)
    assert {key.predictor for key in tally(samples, [0] * 600, scores)} == {"serving", "frozen", "reference"}
    scorer.drop(SHADOW)
    assert scorer.compared == {BASELINE: "1", MIRROR: "1"}
    assert canary.predict(pairs[:1])[0].version == "1"


def test_the_baseline_stays_the_first_version_when_another_serves(
    scorer: Scorer, second: Path, samples: list[Sample]
) -> None:
    before = scorer.score(samples)
    scorer.swap("2", second)
    after = scorer.score(samples)
    assert (after.model, after.predictions[BASELINE].version) == ("2", "1")
    baseline = after.predictions[BASELINE].values
    np.testing.assert_array_equal(before.prediction, baseline)
    assert np.abs(after.prediction - baseline).max() > 0.01


def test_a_baseline_with_another_tokenizer_reads_by_its_own(
    scorer: Scorer, samples: list[Sample], tmp_path: Path
) -> None:
    before = scorer.score(samples[:50])
    source = hugging_face_directory(tmp_path / "source", ARCHITECTURES["bert"](2))
    scorer.swap("other", from_pretrained(str(source), tmp_path / "version"))
    np.testing.assert_array_equal(before.prediction, scorer.score(samples[:50]).predictions[BASELINE].values)


def test_without_a_baseline_there_are_no_predictions_of_it(first: Path, samples: list[Sample]) -> None:
    scorer = Scorer(ScoringConfig(parse("uniform")), CPU)
    scorer.swap("1", first)
    scores = scorer.score(samples[:3])
    assert BASELINE not in scores.predictions


def test_the_label_comes_from_the_actions_and_the_rule(first: Path, samples: list[Sample]) -> None:
    bought = [sample for sample in samples if sample.actions][:20]
    by_rule = {}
    for rule in (Outcome.CLICK, Outcome.PURCHASE):
        scorer = Scorer(ScoringConfig(parse("loss"), positive_from=rule), CPU)
        scorer.swap("1", first)
        clicked = [msgspec.structs.replace(sample, actions=1) for sample in bought]
        by_rule[rule] = scorer.score(clicked).importance
    np.testing.assert_allclose(np.exp(-by_rule[Outcome.CLICK]) + np.exp(-by_rule[Outcome.PURCHASE]), 1, atol=1e-5)


def test_items_of_the_first_training_are_known(scorer: Scorer, samples: list[Sample]) -> None:
    stranger = msgspec.structs.replace(samples[0], item="new")
    assert scorer.score([samples[0], stranger]).known.tolist() == [True, False]


@pytest.mark.parametrize(
    ("popularity", "reference"), [(3.0, 0.75), (0, 0.0), (-1.0, None), ("3", None), (None, None), (True, None)]
)
def test_the_reference_is_popularity_mapped_to_a_ratio(
    popularity: object, reference: float | None, scorer: Scorer, samples: list[Sample]
) -> None:
    sample = msgspec.structs.replace(samples[0], attributes={"popularity": popularity})
    (value,) = scorer.score([sample]).predictions[REFERENCE].values
    assert np.isnan(value) if reference is None else value == reference


def test_the_way_back_needs_no_file(scorer: Scorer, second: Path, samples: list[Sample]) -> None:
    before = scorer.score(samples)
    scorer.swap("2", second)
    assert scorer.previous == "1"
    scorer.swap("1", Path("gone"))
    assert (scorer.version, scorer.previous) == ("1", "2")
    np.testing.assert_array_equal(before.importance, scorer.score(samples).importance)


def test_a_rollback_to_the_first_version_needs_no_file_however_far_it_is(scorer: Scorer, second: Path) -> None:
    scorer.swap("2", second)
    scorer.swap("3", second)
    scorer.swap("1", Path("gone"))
    assert scorer.version == "1"


def test_a_directory_is_fetched_only_for_a_version_that_is_not_in_memory(scorer: Scorer, second: Path) -> None:
    fetched = []

    def fetch() -> Path:
        fetched.append(second)
        return second

    scorer.swap("2", fetch)
    scorer.swap("2", fetch)
    scorer.swap("1", fetch)
    assert fetched == [second]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_version_that_predicts_no_numbers_is_never_served(
    value: float, scorer: Scorer, second: Path, tmp_path: Path, samples: list[Sample]
) -> None:
    broken = damaged(second, tmp_path / "broken", float("nan") if np.isnan(value) else value)
    if np.isinf(value):  # a sure prediction is a number; only what is none is refused
        scorer.swap("2", broken)
        assert scorer.score(samples[:2]).prediction.tolist() == [1.0, 1.0]
        return
    with pytest.raises(BadArtifact, match="values that are not finite"):
        scorer.swap("2", broken)
    assert (scorer.version, scorer.previous) == ("1", None)


def test_a_version_that_does_not_load_leaves_the_served_one(scorer: Scorer, tmp_path: Path) -> None:
    with pytest.raises(BadArtifact):
        scorer.swap("2", tmp_path)
    with pytest.raises(BadArtifact):
        scorer.compare(BASELINE, "2", tmp_path)
    assert (scorer.version, scorer.compared) == ("1", {BASELINE: "1"})


def test_scoring_before_any_version_says_what_to_do(samples: list[Sample]) -> None:
    with pytest.raises(Unavailable, match="weir models init"):
        Scorer(ScoringConfig(parse("uniform")), CPU).score(samples[:1])


def test_a_score_that_is_no_number_becomes_the_floor_and_is_counted(
    first: Path, tmp_path: Path, samples: list[Sample]
) -> None:
    scorer = Scorer(ScoringConfig(parse("output_norm")), CPU)
    scorer.swap("1", damaged(first, tmp_path / "v", float("inf")))
    scores = scorer.score(samples[:4])
    assert scores.importance.tolist() == [0.0] * 4
    assert scores.non_finite == 4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("factor", [1e18, 1e38])
def test_no_estimator_lets_anything_but_finite_numbers_out_of_a_network_gone_wild(
    name: str, factor: float, first: Path, tmp_path: Path, samples: list[Sample]
) -> None:
    model = versions.load(first)
    with torch.no_grad():
        model.network.compare.weight[3] *= factor  # squares overflow, and infinite times zero is no number
    wild = versions.save(replace(model, average=weights_of(model), earlier=weights_of(model)), tmp_path / "wild")
    scorer = Scorer(ScoringConfig(parse(f"{name}+confidence" if name != "confidence" else name, guarded=True)), CPU)
    scorer.swap("1", wild)
    scores = scorer.score(samples[:20])
    assert np.isfinite(scores.importance).all()
    assert (scores.importance >= 0).all()


def test_no_batch_mixes_versions_and_none_is_scored_by_the_old_one_after_a_swap(
    scorer: Scorer, first: Path, second: Path, samples: list[Sample]
) -> None:
    expected = {}
    for version, directory in (("1", first), ("2", second)):
        alone = Scorer(ScoringConfig(parse("last_layer_norm")), CPU)
        alone.swap(version, directory)
        expected[version] = alone.score(samples[:100]).prediction
    finished = threading.Event()
    wrong: list[str] = []

    def score_on() -> None:
        while not finished.is_set():
            scores = scorer.score(samples[:100])
            if not np.array_equal(scores.prediction, expected[scores.model]):
                wrong.append(scores.model)

    thread = threading.Thread(target=score_on)
    thread.start()
    for turn in range(20):
        version = "2" if turn % 2 == 0 else "1"
        scorer.swap(version, second if version == "2" else first)
        assert scorer.score(samples[:1]).model == version
    finished.set()
    thread.join()
    assert wrong == []


def test_a_version_that_loads_but_cannot_compute_is_not_served(scorer: Scorer, first: Path, tmp_path: Path) -> None:
    unfit = tmp_path / "unfit"
    shutil.copytree(first, unfit)
    tokenizer = msgspec.json.decode((unfit / "tokenizer.json").read_bytes())
    tokenizer["model"]["vocab"]["beyond"] = 100_000
    (unfit / "tokenizer.json").write_bytes(msgspec.json.encode(tokenizer))
    with pytest.raises(BadArtifact, match=r"version 2 in .* cannot compute"):
        scorer.swap("2", unfit)
    assert scorer.version == "1"


def test_a_race_sees_hidden_vectors_from_which_the_last_layer_predicts_and_scores_of_its_estimators(
    first: Path, samples: list[Sample]
) -> None:
    config = ScoringConfig(parse("last_layer_norm"), rivals=("uniform", "loss", "rho+entropy"))
    scorer, model = Scorer(config, CPU), versions.load(first, with_auxiliary=True)
    scorer.swap("1", first)
    scores = scorer.score(samples)
    seen = scores.seen
    assert seen is not None
    assert scores.embeddings is None
    assert scores.prediction is not None
    predicted = 1 / (1 + np.exp(-(seen.hidden @ seen.last_layer[:-1] + seen.last_layer[-1])))
    assert np.allclose(predicted, scores.prediction, atol=1e-5)
    assert set(seen.scores) == set(config.rivals)
    assert seen.means["loss"] == pytest.approx(np.nanmean(model.measured["loss"]))
    right = np.where([sample.actions > 0 for sample in samples], scores.prediction, 1 - scores.prediction)
    assert np.allclose(seen.scores["loss"], -np.log(right), atol=1e-4)
    assert Scorer(ScoringConfig(parse("loss")), CPU).missing == ()
