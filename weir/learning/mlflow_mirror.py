"""Versions in an MLflow registry: what is registered, promoted or rolled back here is found there, too.

Postgres holds the truth, and MLflow a copy: whatever is missing or out of date there is brought up by `bring`, also
after an outage. Weights are not copied: a model version's source is the address of the artifact.
"""

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from importance.errors import InvalidInput, Unavailable, WeirError
from storage.registry import Registry, Version
from storage.runs import Run, Runs
from weir.process.masking import masked_url

CHAMPION: Final = "champion"
"""The alias of the active version."""
_VERSION, _STATE = "weir.version", "weir.state"
_RUNS_READ = 10_000
_DESCRIPTION_CHARACTERS = 5_000  # what MLflow's database takes
_REFUSED = ("MLFLOW_DISABLE_TELEMETRY", "true")  # it reports its use to its vendor otherwise


class MlflowMirror:
    """A registered model of an MLflow server or database, one model version a version, in the order they were made.

    Each has an MLflow run with what its training run was given and its metrics, its model card as description, and its
    state as the tag ``weir.state``. ``card`` returns the card of a version; ``artifacts_url`` is where artifacts are.
    A registered model is for one service: another database would have other versions of the same names.
    """

    def __init__(
        self, uri: str, model: str, registry: Registry, runs: Runs, card: Callable[[str], str], artifacts_url: str
    ) -> None:
        self._uri, self._model = uri, model
        self._registry, self._runs = registry, runs
        self._card, self._artifacts_url = card, artifacts_url
        self._brought: object = None

    def bring(self) -> int:
        """Mirror what is missing or has changed; return how many changes that took.

        Nothing is asked of MLflow while the registry is as it was. Raises Unavailable when MLflow or the registry does
        not answer, InvalidInput when the package is not installed.
        """
        versions, pointer = self._registry.versions(), self._registry.active()
        active = None if pointer is None else pointer.version
        found = [(version.version, version.state) for version in versions], active
        if found == self._brought:
            return 0
        if find_spec("mlflow") is None:
            raise InvalidInput(
                "WEIR_MLFLOW_URI is set, but the package mlflow is not installed: pip install 'weirstream[mlflow]'"
            )
        try:
            changes = self._bring(versions, active)
        except WeirError:
            raise
        except Exception as error:  # of MLflow, its HTTP client or its database
            reason = masked_url(str(error).partition("\n")[0])
            raise Unavailable(f"MLflow at {masked_url(self._uri)}: {reason or type(error).__name__}") from error
        self._brought = found
        return changes

    def _bring(self, versions: list[Version], active: str | None) -> int:
        os.environ.setdefault(*_REFUSED)
        from mlflow import MlflowClient

        client = MlflowClient(self._uri, self._uri)
        experiment = self._prepared(client)
        mirrored = {each.tags.get(_VERSION): each for each in self._model_versions(client)}
        runs = {run.candidate: run for run in self._runs.latest(_RUNS_READ)}
        changes = 0
        for version in versions:
            known = mirrored.get(version.version)
            if known is None:
                mirrored[version.version] = self._add(client, experiment, version, runs.get(version.version))
            elif known.tags.get(_STATE) != version.state:
                client.update_model_version(self._model, known.version, self._description(version))
                client.set_model_version_tag(self._model, known.version, _STATE, str(version.state))
            else:
                continue
            changes += 1
        if active is not None:
            number = str(mirrored[active].version)
            if str(client.get_registered_model(self._model).aliases.get(CHAMPION)) != number:
                client.set_registered_model_alias(self._model, CHAMPION, number)
                changes += 1
        return changes

    def _prepared(self, client: Any) -> str:
        """Return the id of the experiment of the runs; make it, and the registered model, where there is none."""
        if not client.search_registered_models(f"name='{self._model}'"):
            client.create_registered_model(self._model)
        known = client.get_experiment_by_name(self._model)
        return str(client.create_experiment(self._model) if known is None else known.experiment_id)

    def _model_versions(self, client: Any) -> list[Any]:
        found: list[Any] = []
        token = None
        while True:
            page = client.search_model_versions(f"name='{self._model}'", page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _add(self, client: Any, experiment: str, version: Version, run: Run | None) -> Any:
        return client.create_model_version(
            self._model,
            source=_address(self._artifacts_url, version.artifact),
            run_id=self._run(client, experiment, version, run),
            tags={_VERSION: version.version, _STATE: str(version.state), "weir.sha256": version.sha256},
            description=self._description(version),
        )

    def _run(self, client: Any, experiment: str, version: Version, run: Run | None) -> str:
        """Return the id of the version's MLflow run; one that was begun before an outage is completed."""
        from mlflow.entities import Metric, Param

        begun = client.search_runs([experiment], f"tags.`{_VERSION}` = '{version.version}'", max_results=1)
        created_ms = round(version.created.timestamp() * 1_000)
        info = (begun[0] if begun else client.create_run(
            experiment, created_ms, tags={_VERSION: version.version}, run_name=version.version
        )).info  # fmt: skip
        if info.status != "FINISHED":
            client.log_batch(
                info.run_id,
                metrics=[Metric(name, value, created_ms, 0) for name, value in metrics(version).items()],
                params=[Param(name, str(value)) for name, value in parameters(version, run).items()],
            )
            client.set_terminated(info.run_id)
        return str(info.run_id)

    def _description(self, version: Version) -> str:
        try:
            return self._card(version.version)[:_DESCRIPTION_CHARACTERS]
        except WeirError as error:  # such as files that are gone: the version is mirrored all the same
            return f"no model card: {error}"[:_DESCRIPTION_CHARACTERS]


def metrics(version: Version) -> dict[str, float]:
    """Return the numbers among a version's metrics, the gate's included."""
    return {
        name: float(value)
        for name, value in version.metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def parameters(version: Version, run: Run | None) -> dict[str, object]:
    """Return what a version was made by: its parent, and the trigger, the inputs and the policy of its training run."""
    found: dict[str, object] = {"parent": version.parent, "sha256": version.sha256, "gate": version.metrics.get("gate")}
    if run is not None:
        found |= {"run": run.id, "trigger": run.trigger, **_flat(run.inputs)}
    return {name: value for name, value in found.items() if value is not None}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Return nested values by dotted name.

    >>> _flat({"samples": 3, "policy": {"drop": 0.1}})
    {'samples': 3, 'policy.drop': 0.1}
    """
    flat: dict[str, object] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _address(artifacts_url: str, artifact: str) -> str:
    """Return the URL of an artifact.

    >>> _address("s3://models/weir/", "v3-abc")
    's3://models/weir/v3-abc'
    """
    root = artifacts_url if "://" in artifacts_url else Path(artifacts_url).absolute().as_uri()
    return f"{masked_url(root).rstrip('/')}/{artifact}"
