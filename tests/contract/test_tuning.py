"""What every fine-tuning method promises, on the built-in network and two of transformers, of one label or three."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from importance.errors import InvalidInput
from importance.sample import Outcome
from importance.tasks import Tasks
from tests.unit.trainer.conftest import SIZE, hugging_face_directory, shop
from trainer import version_directory as versions
from trainer.bootstrap import FirstTraining, build, from_pretrained
from trainer.device import use_threads
from trainer.evaluation import evaluate
from trainer.forward import run
from trainer.labelled import Labelled
from trainer.memory import weights_of
from trainer.tasks import with_tasks
from trainer.tuning import EarlyStop, FineTuning, Optimisation, TrainingLoop, TrainingRows, anatomy, fine_tune
from trainer.tuning.increment import prepared
from trainer.tuning.methods import METHODS, AdaLoRA, Adapters, LoRA, Method, method
from trainer.tuning.moments import trained
from trainer.version_directory import Model

SAMPLES = shop(200)
# Without dropout: 16 numbers would drown in noise.
CONFIGURATIONS = {
    "bert": lambda: transformers.BertConfig(
        **SIZE, hidden_dropout_prob=0, attention_probs_dropout_prob=0, num_labels=1
    ),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=60, n_embd=16, n_layer=1, n_head=2, n_positions=64, pad_token_id=0, num_labels=1,
        embd_pdrop=0, attn_pdrop=0, resid_pdrop=0,
    ),
}  # fmt: skip
FRESH = np.arange(200) >= 100
TASKS = Tasks(further=((Outcome.ADD_TO_CART, 0.5), (Outcome.PURCHASE, 1.0)))


@pytest.fixture(scope="module", params=["built-in", "bert", "gpt2", "built-in of three tasks", "gpt2 of three tasks"])
def version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained version, whose biases are not 0; to be read only."""
    use_threads(1)
    directory = tmp_path_factory.mktemp("tuning")
    torch.manual_seed(0)
    name, _, of_tasks = request.param.partition(" of ")
    if name == "built-in":
        model, scale = build(SAMPLES, FirstTraining(vocabulary=120), seed=0), 0.05
    else:
        config = CONFIGURATIONS[name]()
        source = hugging_face_directory(directory / "source", config)
        model, scale = versions.load(from_pretrained(str(source), directory / "taken")), 0.3
    model = with_tasks(model, TASKS.names if of_tasks else ())
    random = torch.Generator().manual_seed(3)
    for parameter in model.network.parameters():
        parameter.data.add_(scale * torch.randn(parameter.shape, generator=random))
    return versions.save(model, directory / "version")


@pytest.fixture(params=list(METHODS))
def chosen(request: pytest.FixtureRequest) -> Method:
    return method(request.param, rank=4)


TuningBy = Callable[..., FineTuning]


@pytest.fixture(scope="module")
def tuning_by(version: Path) -> TuningBy:
    """Returns a fine-tune of the version by a method, of 6 steps unless another number is given."""
    tasks = TASKS if versions.load(version).card.tasks else Tasks()

    def tuning(chosen: Method, steps: int = 6) -> FineTuning:
        return FineTuning(steps, optimisation=Optimisation(32, 1e-2, method=chosen, tasks=tasks))

    return tuning


def averaging(tuning: FineTuning, early_stop: EarlyStop | None = None) -> FineTuning:
    """Return the fine-tune with an average of the weights, and with an early stop where one is given."""
    changed = replace(tuning.optimisation, average_decay=0.5, early_stop=early_stop or EarlyStop())
    return replace(tuning, optimisation=changed)


@pytest.fixture(scope="module")
def rows(version: Path) -> TrainingRows:
    """Labels that a linear layer on the untrained network's vectors can tell: the sign along their main direction."""
    model = versions.load(version)
    hidden = run(model, model.tokens.encode(SAMPLES), keep_hidden=True).hidden
    assert hidden is not None
    along = np.linalg.svd(hidden - hidden.mean(axis=0), full_matrices=False)[0][:, 0]
    return TrainingRows(SAMPLES, (along > np.median(along)).astype(np.int64), np.ones(200), FRESH)


def may_change(model: Model, chosen: Method) -> set[str]:
    """Return the names of the plain weights that the method may move."""
    network = model.network
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    head, layers = {names[id(one)] for one in anatomy.head(network)}, anatomy.linear_layers(network)
    if isinstance(chosen, LoRA | AdaLoRA):
        return head | {f"{name}.weight" for name in layers}
    if isinstance(chosen, Adapters):
        last = {[name for name in layers if name.startswith(f"{block}.")][-1] for block in anatomy.blocks(network)}
        return head | {f"{name}.{part}" for name in last for part in ("weight", "bias")}
    return set(names.values()) if chosen.name == "full" else head


def test_only_what_the_method_names_changes(
    version: Path, rows: TrainingRows, chosen: Method, tuning_by: TuningBy
) -> None:
    model = versions.load(version)
    before, allowed = weights_of(model), may_change(model, chosen)
    tuned = fine_tune(model, rows, tuning_by(chosen), seed=1)
    after = weights_of(tuned.model)
    assert list(before) == list(after)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed <= allowed
    if not isinstance(chosen, AdaLoRA):  # which may cut all that it added to a layer
        assert changed == allowed


def test_what_is_learnable_is_learned_and_all_is_finite(
    version: Path, rows: TrainingRows, chosen: Method, tuning_by: TuningBy
) -> None:
    losses: list[float] = []
    tuned = fine_tune(
        versions.load(version), rows, tuning_by(chosen, 60), 1, progress=lambda *told: losses.append(told[2])
    )
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert np.isfinite(losses).all()
    assert all(bool(weight.isfinite().all()) for weight in weights_of(tuned.model).values())


def test_the_merged_network_computes_what_the_unmerged_did(
    version: Path, rows: TrainingRows, chosen: Method, tuning_by: TuningBy
) -> None:
    model, tuning = versions.load(version), tuning_by(chosen)
    loop = TrainingLoop(model, prepared(model, rows, tuning, 1), tuning.optimisation, 1)
    while not loop.finished:
        loop.step()
    batch = model.tokens.encode(SAMPLES).batch(np.arange(len(SAMPLES)))
    model.network.eval()
    with torch.inference_mode():
        unmerged = model.network(batch).logits
        merged = loop.result().model.network(batch).logits
    torch.testing.assert_close(merged, unmerged, rtol=0, atol=1e-5)


def test_the_same_seed_gives_the_same_weights(
    version: Path, rows: TrainingRows, chosen: Method, tuning_by: TuningBy
) -> None:
    one, again = (
        weights_of(fine_tune(versions.load(version), rows, tuning_by(chosen), seed=1).model) for _ in range(2)
    )
    assert all(torch.equal(one[name], again[name]) for name in one)


@pytest.mark.parametrize("opposite", [False, True], ids=["learns what it is validated by", "learns the opposite"])
def test_an_early_stop_keeps_the_average_of_the_lowest_loss(
    opposite: bool, version: Path, rows: TrainingRows, chosen: Method, tuning_by: TuningBy
) -> None:
    """The loss was computed before what the method added was merged."""
    model, labels = versions.load(version), 1 - rows.labels if opposite else rows.labels
    before, allowed = weights_of(model), may_change(model, chosen)
    tuning = averaging(tuning_by(chosen, 8), EarlyStop(2, 2))
    tuned = fine_tune(model, rows, tuning, seed=1, validation=Labelled(SAMPLES, labels))
    assert tuned.finished
    assert tuned.evaluations is not None
    expected = evaluate(labels, run(tuned.model, tuned.model.tokens.encode(SAMPLES)).prediction).log_loss
    assert tuned.evaluations.lowest == pytest.approx(expected, rel=1e-4)
    after = weights_of(tuned.model)
    assert list(before) == list(after)
    assert {name for name in before if not torch.equal(before[name], after[name])} <= allowed
    assert list(trained(tuned.model.network)) == list(before)


def test_the_average_is_of_the_weights_of_each_step_without_what_was_cut(
    version: Path, rows: TrainingRows, chosen: Method, tuning_by: TuningBy
) -> None:
    model, tuning = versions.load(version), averaging(tuning_by(chosen, 9))
    loop = TrainingLoop(model, prepared(model, rows, tuning, 1), tuning.optimisation, 1)
    each: list[dict[str, torch.Tensor]] = []
    while not loop.finished:
        loop.step()
        each.append(loop.state().weights)
    average, shares = loop.state().average, 0.5 ** np.arange(9)[::-1]
    assert list(average) == list(each[-1])
    for name, last in each[-1].items():
        expected = sum(share * one[name] for share, one in zip(shares / shares.sum(), each, strict=True))
        is_cut = (last == 0) if "lora_E" in name else torch.zeros_like(last, dtype=torch.bool)
        assert not average[name][is_cut].any()
        stayed = torch.stack([one[name] != 0 for one in each]).all(dim=0) | ("lora_E" not in name)
        torch.testing.assert_close(average[name][stayed], expected[stayed], rtol=1e-4, atol=1e-6)
    if isinstance(chosen, AdaLoRA):
        parts = [weights for name, weights in average.items() if "lora_E" in name]
        assert sum(int(part.count_nonzero()) for part in parts) <= chosen.rank * len(parts)


def test_one_that_is_stopped_leaves_a_plain_network(
    version: Path, rows: TrainingRows, chosen: Method, tuning_by: TuningBy
) -> None:
    stop = Event()
    tuned = fine_tune(
        versions.load(version), rows, tuning_by(chosen), 1, progress=lambda *_: stop.set(), stop=stop.is_set
    )
    assert (tuned.steps, tuned.finished) == (1, False)
    network = tuned.model.network
    assert list(trained(network)) == list(weights_of(versions.load(version)))
    assert not any("lora" in name or "layer.layer" in name for name, _ in network.named_modules())


def test_nothing_fresh_is_no_obstacle(version: Path, rows: TrainingRows, chosen: Method, tuning_by: TuningBy) -> None:
    tuned = fine_tune(versions.load(version), replace(rows, fresh=np.zeros(200, bool)), tuning_by(chosen, 2), 1)
    assert np.isfinite(tuned.loss)


def test_a_saved_version_is_plain_and_predicts_the_same_and_has_moments_of_what_was_trained(
    version: Path, rows: TrainingRows, chosen: Method, tuning_by: TuningBy, tmp_path: Path
) -> None:
    tuned = fine_tune(versions.load(version), rows, tuning_by(chosen), seed=1)
    again = versions.load(versions.save(tuned.model, tmp_path / "v"), with_moments=True)
    encoded = again.tokens.encode(SAMPLES)
    np.testing.assert_array_equal(run(again, encoded).prediction, run(tuned.model, encoded).prediction)
    assert again.moments is not None
    kept = {name.removesuffix(".exp_avg") for name in again.moments if name.endswith(".exp_avg")}
    names = {id(parameter): name for name, parameter in again.network.named_parameters()}
    head = {names[id(one)] for one in anatomy.head(again.network)}
    assert kept == (set(names.values()) if chosen.name == "full" else head)


def test_an_encoder_without_blocks_has_no_adapters(version: Path) -> None:
    model = versions.load(version)
    encoder = anatomy.encoder(model.network)
    for name, module in list(encoder.named_modules()):
        if isinstance(module, nn.ModuleList):
            encoder.set_submodule(name, nn.ModuleList())
    with pytest.raises(InvalidInput, match="choose another fine-tuning method"):
        Adapters().attach(model.network, 1)


def test_what_adalora_continues_with_is_on_the_device_of_its_parameters(version: Path) -> None:
    network = versions.load(version).network
    attached = AdaLoRA(4).attach(network, 6)
    added = {name: torch.zeros_like(one) for name, one in network.named_parameters() if "lora_" in name}
    network.to("meta")
    attached.restore({f"{kind}.{name}": one for kind in ("sensitivity", "uncertainty") for name, one in added.items()})
    assert len(attached.state()) == 2 * len(added)
    assert {one.device.type for one in attached.state().values()} == {"meta"}


@pytest.mark.parametrize("wrong", [lambda: method("prompt"), lambda: LoRA(0), lambda: AdaLoRA(-1), lambda: Adapters(0)])
def test_an_unknown_method_and_a_rank_of_nothing_are_refused(wrong: Callable[[], Method]) -> None:
    with pytest.raises(InvalidInput, match=r"must be (one of full|at least 1)"):
        wrong()
