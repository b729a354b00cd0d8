"""compose.yaml: valid by the Compose specification, and true to the settings and files of the repository."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import yaml

from tests.support.prometheus import promtool
from weir.cli import create_app
from weir.settings import Settings

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if "build" in each}


def parse(document: dict[str, Any]) -> compose_spec.PyCompose:
    """Parse a document whose anchors are resolved; raise ValueError where the specification does not allow it."""
    return compose_spec.PyCompose.from_json(json.dumps(document))


def test_the_specification_allows_every_key() -> None:
    assert parse(COMPOSE).to_spec().services.keys() == SERVICES.keys()


def test_an_unknown_key_is_found() -> None:
    with pytest.raises(ValueError, match="comand"):
        parse({"services": {"worker": {"image": "weir:0.1.0", "comand": ["worker"]}}})


def test_every_service_of_weir_runs_a_command_with_known_settings() -> None:
    commands = {command.name or command.callback.__name__ for command in create_app().registered_commands}  # type: ignore[union-attr]
    groups = {group.name for group in create_app().registered_groups}
    for name, each in OURS.items():
        assert each["command"][0] in commands | groups, name
        fields = {variable.removeprefix("WEIR_").lower() for variable in each["environment"]}
        assert fields <= set(Settings.model_fields), name


def test_every_image_is_a_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {each["image"] for each in OURS.values()} == {f"weir:{version}"}
    assert all(re.search(r":v?\d", each["image"]) for each in SERVICES.values())


def test_ports_are_published_on_this_machine_alone() -> None:
    published = [port for each in SERVICES.values() for port in each.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_a_default_password_is_plainly_a_local_one() -> None:
    defaults = re.findall(r"PASSWORD:-([^}]*)}", (ROOT / "compose.yaml").read_text())
    assert set(defaults) == {"local-only"}


def test_every_file_that_is_mounted_exists() -> None:
    mounted = [volume.split(":")[0] for each in SERVICES.values() for volume in each.get("volumes", [])]
    assert [path for path in mounted if path.startswith("./") and not (ROOT / path).exists()] == []
    assert {name for name in mounted if not name.startswith("./")} == set(COMPOSE["volumes"])


def test_roles_start_after_tables_and_topics_and_have_time_to_end() -> None:
    for name in ("worker", "trainer", "api"):
        role = SERVICES[name]
        assert role["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "topics": {"condition": "service_completed_successfully"},
        }
        assert float(role["stop_grace_period"].removesuffix("s")) > Settings.model_fields["stop_seconds"].default


def test_services_of_weir_have_no_rights_they_do_not_need() -> None:
    for each in OURS.values():
        assert (each["read_only"], each["cap_drop"]) == (True, ["ALL"])
        assert each["security_opt"] == ["no-new-privileges:true"]


def test_prometheus_takes_its_configuration_and_scrapes_every_role() -> None:
    file = ROOT / "docker" / "prometheus.yaml"
    promtool("check", "config", "--syntax-only", file)
    text = file.read_text()
    port = SERVICES["worker"]["environment"]["WEIR_METRICS_PORT"]
    assert f"names: [worker], type: A, port: {port}" in text
    assert f"names: [trainer], type: A, port: {port}" in text
    assert f"names: [api], type: A, port: {Settings.model_fields['api_port'].default}" in text
    assert SERVICES["prometheus"]["secrets"] == ["prometheus-token"]
    assert "/run/secrets/prometheus-token" in text
