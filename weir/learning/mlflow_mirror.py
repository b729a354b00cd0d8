"""Versions in an MLflow registry: what is registered, promoted or rolled back here is found there, too.

Postgres holds the truth, and MLflow a copy: `synchronise` adds and updates whatever differs there, also after an
outage. Weights are not copied: a model version names the address of the artifact.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from importance.errors import BadArtifact, Conflict, StoreUnavailable, Unavailable
from storage.engine import Engine
from storage.lock import Right, alone
from storage.registry import Registry, Version
from storage.runs import Run, Runs
from weir.learning.mlflow_client import new_client, reported
from weir.process.masking import masked_url

CHAMPION: Final = "champion"
"""The alias of the active version."""
_VERSION, _STATE, _ARTIFACT = "weir.version", "weir.state", "weir.artifact"
_RUNS_READ = 10_000
_DESCRIPTION_CHARACTERS = 5_000  # what MLflow's database takes


class MlflowMirror:
    """A registered model of an MLflow server or database, one model version a version, in the order they were made.

    Each has an MLflow run with what its training run was given and its metrics, its model card as description, and its
    state as the tag ``weir.state``. ``card`` returns the card of a version; ``artifacts_url`` is where artifacts are.
    A registered model is for one service: another database would have other versions of the same names.
    """

    def __init__(self, uri: str, model: str, engine: Engine, card: Callable[[str], str], artifacts_url: str) -> None:
        self._uri, self._model = uri, model
        self._engine, self._registry, self._runs = engine, Registry(engine), Runs(engine)
        self._card, self._artifacts_url = card, artifacts_url
        self._synchronised: object = None

    def synchronise(self) -> int:
        """Mirror what is missing or has changed; return how many changes that took.

        Nothing is asked of MLflow while the registry is as it was. A version that fails holds up no other one. Raises
        Unavailable when MLflow or the registry does not answer, or a version failed; Conflict while another process
        mirrors; InvalidInput when the package is not installed.
        """
        if _states(*self._found()) == self._synchronised:
            return 0
        with alone(self._engine, Right.MIRROR) as free:  # two would both add a version that neither finds
            if not free:
                raise Conflict("another process is mirroring the versions in MLflow: nothing was done")
            active, versions = self._found()
            changes = self._mirror(active, versions)
        self._synchronised = _states(active, versions)
        return changes

    def _found(self) -> tuple[str | None, list[Version]]:
        """Return the active version and all versions, read in this order so that the one is among the others."""
        pointer = self._registry.active()
        return None if pointer is None else pointer.version, self._registry.versions()

    def _mirror(self, active: str | None, versions: list[Version]) -> int:
        client = new_client(self._uri)
        runs = {run.candidate: run for run in self._runs.latest(_RUNS_READ)}
        with reported(self._uri):
            experiment = self._prepared(client)
            mirrored = {each.tags.get(_VERSION): each for each in self._model_versions(client)}
        changes, failed = 0, []
        for version in versions:
            known = mirrored.get(version.version)
            if known is not None and known.tags.get(_STATE) == version.state:
                continue
            try:
                description = self._description(version)
            except StoreUnavailable as error:
                failed.append(f"{version.version}: {error}")
                continue
            try:
                with reported(self._uri):
                    if known is None:
                        run = self._run(client, experiment, version, runs.get(version.version))
                        mirrored[version.version] = self._add(client, run, version, description)
                    else:
                        self._update(client, str(known.version), version, description)
            except Unavailable as error:
                with reported(self._uri):
                    client.get_registered_model(self._model)  # an outage, which fails this too, ends the attempt
                failed.append(f"{version.version}: {error}")
                continue
            changes += 1
        if active is not None and active in mirrored:
            changes += self._set_champion(client, str(mirrored[active].version))
        if failed:
            raise Unavailable(f"{len(failed)} of {len(versions)} versions are not mirrored, the first is {failed[0]}")
        return changes

    def _set_champion(self, client: Any, number: str) -> int:
        with reported(self._uri):
            if str(client.get_registered_model(self._model).aliases.get(CHAMPION)) == number:
                return 0
            client.set_registered_model_alias(self._model, CHAMPION, number)
        return 1

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

    def _add(self, client: Any, run: str, version: Version, description: str) -> Any:
        address = _address(self._artifacts_url, version.artifact)
        tags = {
            _VERSION: version.version,
            _STATE: str(version.state),
            _ARTIFACT: address,
            "weir.sha256": version.sha256,
        }
        return client.create_model_version(
            self._model,
            source=source(address, run),
            run_id=run,
            tags=tags,
            description=description,
            await_creation_for=0,  # there are no files to wait for
        )

    def _update(self, client: Any, number: str, version: Version, description: str) -> None:
        client.update_model_version(self._model, number, description)
        client.set_model_version_tag(self._model, number, _STATE, str(version.state))

    def _run(self, client: Any, experiment: str, version: Version, run: Run | None) -> str:
        """Return the id of the version's MLflow run; one that was started before an outage is completed."""
        from mlflow.entities import Metric, Param

        started = client.search_runs([experiment], f"tags.`{_VERSION}` = '{version.version}'", max_results=1)
        created_ms = round(version.created.timestamp() * 1_000)
        info = (started[0] if started else client.create_run(
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
        except BadArtifact as error:  # such as files that are gone: the version is mirrored all the same
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


def _states(active: str | None, versions: Sequence[Version]) -> tuple[object, ...]:
    return active, *((version.version, version.state) for version in versions)


def source(address: str, run: str) -> str:
    """Return what a model version is made from: its artifact's address, or its run where that is a local directory.

    A server of MLflow refuses local files outside the directory of the run.

    >>> source("s3://models/weir/v3-abc", "5d1c"), source("file:///srv/models/v3-abc", "5d1c")
    ('s3://models/weir/v3-abc', 'runs:/5d1c')
    """
    return f"runs:/{run}" if urlsplit(address).scheme in ("file", "local") else address


def _address(artifacts_url: str, artifact: str) -> str:
    """Return the URL of an artifact.

    >>> _address("s3://models/weir/", "v3-abc")
    's3://models/weir/v3-abc'
    """
    root = artifacts_url if "://" in artifacts_url else Path(artifacts_url).absolute().as_uri()
    return f"{masked_url(root).rstrip('/')}/{artifact}"
