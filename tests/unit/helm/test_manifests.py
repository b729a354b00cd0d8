"""What the chart makes of each value set: valid for Kubernetes and the operators, and safe to run."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate.utils
import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.unit.helm.chart import CHART, ROLES, ROOT, SETS, Object, environment, loaded, of_kind, pods, render, values
from tests.unit.helm.chart import objects as objects_of
from weir.settings import Settings

KUBERNETES = ("1.29", "1.31", "1.33", "1.35", "1.37")
CUSTOM = ("ScaledObject", "PodMonitor", "ServiceMonitor", "PrometheusRule")

every_set = pytest.mark.parametrize("name", SETS)


def distinct(wanted: Callable[[Object], bool]) -> Iterator[tuple[str, Object]]:
    """The objects of all sets, equal ones once."""
    seen = set()
    for name in SETS:
        for each in objects_of(name):
            if wanted(each) and (text := json.dumps(each, sort_keys=True)) not in seen:
                seen.add(text)
                yield f"{name}: {each['kind']} {each['metadata']['name']}", each


@every_set
def test_helm_lint_finds_no_warning(name: str) -> None:
    report = helm_python.lint(CHART, values(name), strict=True, namespace="shop")
    assert (report["errors"], [line for line in report["messages"] if line["severity"] > 1]) == ([], [])


@pytest.fixture(scope="module")
def schemas() -> Iterator[None]:
    """Each version's definitions, which are megabytes, are read once and not for every object."""
    patch = pytest.MonkeyPatch()
    patch.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
    yield
    patch.undo()


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.usefixtures("schemas")
def test_kubernetes_knows_every_field(version: str) -> None:
    for where, each in distinct(lambda each: each["kind"] not in CUSTOM):
        try:
            kubernetes_validate.validate(each, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{where}: {list(error.path)}: {error.message}")


@pytest.mark.usefixtures("schemas")
def test_an_unknown_field_of_kubernetes_is_found() -> None:
    service = next(iter(of_kind("tls", "Service").values()))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service | {"spec": service["spec"] | {"port": 80}}, KUBERNETES[0], strict=True)


@cache
def operator_schema(kind: str) -> Draft202012Validator:
    """The schema of an operator's resource, with unknown fields refused."""
    from cloudcoil.models.keda import v1alpha1
    from cloudcoil.models.prometheus_operator import v1

    model = getattr(v1alpha1 if kind == "ScaledObject" else v1, kind)

    def closed(schema: Any) -> Any:
        if isinstance(schema, list):
            return [closed(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        result = {key: closed(value) for key, value in schema.items()}
        return result | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else result

    return Draft202012Validator(closed(model.model_json_schema()))


def test_the_operators_know_every_field() -> None:
    found = list(distinct(lambda each: each["kind"] in CUSTOM))
    assert {each["kind"] for _, each in found} == set(CUSTOM)
    for where, each in found:
        assert [f"{where}: {error.message}" for error in operator_schema(each["kind"]).iter_errors(each)] == []


def test_an_unknown_field_of_an_operator_is_found() -> None:
    monitor = next(iter(of_kind("keda", "PodMonitor").values()))
    assert [*operator_schema("PodMonitor").iter_errors(monitor | {"spec": monitor["spec"] | {"interval": "1s"}})]


@every_set
def test_no_pod_has_more_rights_than_it_needs(name: str) -> None:
    for _, pod in pods(name):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
        security = container["securityContext"]
        assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False)
        assert security["capabilities"] == {"drop": ["ALL"]}


@every_set
def test_every_pod_has_bounded_memory_and_writable_directories(name: str) -> None:
    for _, pod in pods(name):
        (container,) = pod["containers"]
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        volumes = {each["name"]: each for each in pod["volumes"]}
        mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
        for path in (environment(pod)["WEIR_HOME"], "/tmp"):
            assert "sizeLimit" in volumes[mounts[path]]["emptyDir"]
        assert set(mounts.values()) == set(volumes)


@every_set
def test_every_image_is_a_version_or_a_digest(name: str) -> None:
    for _, pod in pods(name):
        image = pod["containers"][0]["image"]
        assert re.search(r"(@sha256:[0-9a-f]{64}|:\d[\w.-]*)$", image), image


@every_set
def test_secrets_come_by_reference_and_every_variable_is_a_setting(name: str) -> None:
    secret = {f"WEIR_{field.upper()}" for field, info in Settings.model_fields.items() if _is_whole_secret(info)}
    for _, pod in pods(name):
        given = environment(pod)
        assert not set(given) & (secret | {"WEIR_DATABASE_URL"})
        weir = {variable.removeprefix("WEIR_").lower() for variable in given if variable.startswith("WEIR_")}
        assert weir <= set(Settings.model_fields)
        assert "@" not in given["WEIR_ARTIFACTS_URL"]
    assert of_kind(name, "Secret") == {}


def _is_whole_secret(info: Any) -> bool:
    return isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("secret") == "whole"


@every_set
def test_every_role_has_probes_a_budget_and_time_to_end(name: str) -> None:
    deployments, budgets = of_kind(name, "Deployment"), of_kind(name, "PodDisruptionBudget")
    assert {label.rpartition("-")[2] for label in deployments} == set(ROLES)
    assert set(budgets) == set(deployments)
    for label, deployment in deployments.items():
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        for probe, path in (("startup", "/healthz"), ("liveness", "/healthz"), ("readiness", "/readyz")):
            assert path in json.dumps(container[f"{probe}Probe"])
        assert pod["terminationGracePeriodSeconds"] > float(environment(pod)["WEIR_STOP_SECONDS"])
        assert {each["topologyKey"] for each in pod["topologySpreadConstraints"]} == {
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        }
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
        assert budgets[label]["spec"]["selector"]["matchLabels"] == selector


@every_set
def test_every_selector_and_port_meets_a_pod(name: str) -> None:
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in of_kind(name, "Deployment").values()]
    ports = [{port["name"] for port in pod["containers"][0].get("ports", [])} for _, pod in pods(name)]
    selectors = [
        *(each["spec"]["selector"] for each in of_kind(name, "Service").values()),
        *(each["spec"]["podSelector"]["matchLabels"] for each in of_kind(name, "NetworkPolicy").values()),
        *(each["spec"]["selector"]["matchLabels"] for each in of_kind(name, "PodMonitor").values()),
    ]
    for selector in selectors:
        assert any(selector.items() <= found.items() for found in labels), selector
    assert set().union(*ports) <= {"metrics", "http"}


@every_set
def test_jobs_run_before_the_roles_in_their_order_and_with_an_account_of_their_own(name: str) -> None:
    jobs = sorted(of_kind(name, "Job").values(), key=_hook_weight)
    commands = [job["spec"]["template"]["spec"]["containers"][0]["args"] for job in jobs]
    expected = [["migrate"], ["topics"], ["models", "init", "--if-missing"]]
    assert commands == (expected if values(name).get("jobs", {}).get("firstVersion", True) else expected[:2])
    accounts = of_kind(name, "ServiceAccount")
    for job in jobs:
        account = accounts[job["spec"]["template"]["spec"]["serviceAccountName"]]
        events = set(job["metadata"]["annotations"]["helm.sh/hook"].split(","))
        assert events <= set(account["metadata"]["annotations"]["helm.sh/hook"].split(","))
        assert _hook_weight(account) < _hook_weight(job)


def _hook_weight(each: Object) -> int:
    return int(each["metadata"]["annotations"]["helm.sh/hook-weight"])


def test_roles_with_a_gpu_ask_for_it_and_compute_there() -> None:
    devices = {label: (environment(pod)["WEIR_DEVICE"], pod["containers"][0]["image"]) for label, pod in pods("gpu")}
    assert devices["weir-worker"] == ("cuda", "weir:0.1.0-cuda")
    assert devices["weir-api"] == ("cpu", "weir:0.1.0")
    (worker,) = dict(pods("gpu"))["weir-worker"]["containers"]
    assert worker["resources"]["limits"] == {"memory": "4Gi", "nvidia.com/gpu": 1}


def test_a_role_that_is_scaled_has_no_number_of_replicas() -> None:
    for name in ("keda", "everything"):
        (worker,) = [each for label, each in of_kind(name, "Deployment").items() if label.endswith("-worker")]
        assert "replicas" not in worker["spec"]
    (scaled,) = of_kind("keda", "ScaledObject").values()
    assert scaled["spec"]["scaleTargetRef"]["name"] in of_kind("keda", "Deployment")


def test_the_rules_are_those_of_the_repository() -> None:
    files = sorted((ROOT / "monitoring" / "rules").glob("*.yaml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    (rule,) = of_kind("everything", "PrometheusRule").values()
    assert rule["spec"]["groups"] == groups
    assert groups


def test_a_packed_chart_makes_the_same_as_the_directory(tmp_path: Path) -> None:
    """Rules and dashboards are links in the directory; a package has their content."""
    loaded().save(tmp_path)
    (archive,) = tmp_path.glob("weir-*.tgz")
    packed = helm_python.Chart.load(archive).render(
        values("everything"), name="weir", namespace="shop", is_install=True
    )
    assert packed == render(values("everything"))


def test_numbers_of_config_are_written_in_full() -> None:
    given = environment(dict(pods("everything"))["weir-importance-worker"])
    assert given["WEIR_BUFFER_CAPACITY"] == "200000"
    assert given["WEIR_HALF_LIFE_SECONDS"] == "604800.5"
    assert given["WEIR_GRADIENT_FALLBACK"] == "on"
    assert given["WEIR_THREADS"] == "2"


def configured(shared: str, own: str) -> dict[str, str]:
    """The variables of a worker where ``config`` and ``worker.config`` are these lines of YAML."""
    given = {"config": yaml.safe_load(shared), "worker": {"config": yaml.safe_load(own)}}
    deployment, _ = yaml.safe_load_all(render(values("minimal") | given)["weir/templates/worker.yaml"])
    return environment(deployment["spec"]["template"]["spec"])


@pytest.mark.parametrize(
    ("shared", "own", "expected"),
    [
        ("{WEIR_DRIFT: on}", "{WEIR_DRIFT: off}", "off"),
        ("{WEIR_DRIFT: off}", "{WEIR_DRIFT: on}", "on"),
        ("{WEIR_TRAIN_STEPS: 5}", "{WEIR_TRAIN_STEPS: 0}", "0"),
        ("{WEIR_FIELDS: user=u}", "{WEIR_FIELDS: ''}", None),
    ],
)
def test_a_role_s_own_value_wins_also_where_it_is_empty(shared: str, own: str, expected: str | None) -> None:
    (name,) = yaml.safe_load(own)
    assert configured(shared, own).get(name) == expected


def test_switches_are_written_as_every_setting_accepts_them() -> None:
    given = configured("{WEIR_DRIFT: off, WEIR_TRAIN_ON_DRIFT: true}", "{WEIR_GRADIENT_FALLBACK: true}")
    switches = {name: given[name] for name in ("WEIR_DRIFT", "WEIR_TRAIN_ON_DRIFT", "WEIR_GRADIENT_FALLBACK")}
    assert switches == {"WEIR_DRIFT": "off", "WEIR_TRAIN_ON_DRIFT": "on", "WEIR_GRADIENT_FALLBACK": "on"}
    fields = {name.removeprefix("WEIR_").lower(): value for name, value in switches.items()}
    accepted = Settings.model_validate(fields)
    assert (accepted.drift, accepted.train_on_drift, accepted.gradient_fallback) == ("off", "on", True)


SOURCE = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "one"}}}


@pytest.mark.parametrize(
    ("policy", "sources"),
    [
        ({}, None),
        ({"apiFrom": [SOURCE]}, None),
        ({"metricsFrom": [SOURCE]}, None),
        ({"apiFrom": [SOURCE], "metricsFrom": [{"podSelector": {}}]}, [SOURCE, {"podSelector": {}}]),
    ],
    ids=["none", "api", "metrics", "both"],
)
def test_an_empty_list_of_sources_lets_all_reach_the_api(policy: Object, sources: list[Object] | None) -> None:
    given = values("minimal") | {"api": {"expose": True, "plaintext": True}, "networkPolicy": policy}
    policies = yaml.safe_load_all(render(given)["weir/templates/networkpolicies.yaml"])
    (api,) = [each for each in policies if each["metadata"]["name"] == "weir-api"]
    (rule,) = api["spec"]["ingress"]
    assert rule.get("from") == sources


@pytest.mark.parametrize(
    ("ingress", "line"),
    [
        ({}, "https://weir.example"),
        ({"tlsSecret": ""}, "http://weir.example"),
    ],
)
def test_the_notes_name_an_address_that_answers(ingress: Object, line: str) -> None:
    given = values("everything")
    notes = render(given | {"ingress": given["ingress"] | ingress})["weir/templates/NOTES.txt"]
    assert f"{line} takes a token" in notes
    assert "/docs" not in notes


def test_the_dashboards_are_those_of_the_repository() -> None:
    files = sorted((ROOT / "monitoring" / "grafana" / "dashboards").glob("*.json"))
    maps = [
        each
        for each in of_kind("everything", "ConfigMap").values()
        if "grafana_dashboard" in each["metadata"]["labels"]
    ]
    assert {name: text for each in maps for name, text in each["data"].items()} == {
        file.name: file.read_text() for file in files
    }
    assert files
