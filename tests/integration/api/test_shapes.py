"""Every route gives what the contract says, by the letter."""

import json
import re
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from importance.control_arm import Compared
from importance.drift.evaluation import Alarm, DriftState, Evaluation
from importance.lineage import Lineage
from importance.pseudonyms import Pseudonyms
from importance.sample import Sample
from storage.control_arm import ControlArm
from storage.engine import transaction
from storage.heartbeats import Assigned, Heartbeats, Model, Process, Report
from storage.recent_items import RecentItems, RecentLimits
from storage.runs import Runs
from weir.settings import Settings
from weir.status.selection import reader

from .conftest import World


def test_the_buffer_is_described_by_stratum(world: World) -> None:
    world.fill(count=200, capacity=20)
    body = world.http.get("/v1/buffer").json()
    assert body["capacity"] == 20
    assert body["items"] == sum(stratum["items"] for stratum in body["strata"])
    assert [stratum["name"] for stratum in body["strata"]] == ["holdout", "uniform", "positive", "negative"]
    assert set(body) == {"capacity", "items", "strata"}
    for stratum in body["strata"]:
        assert set(stratum) == {
        "name", "capacity", "items", "threshold", "effective_sample_size", "subject_capacity", "largest_subject_share",
    }  # fmt: skip
        assert stratum["items"] <= stratum["capacity"]
    assert all(stratum["threshold"] is not None for stratum in body["strata"])


def test_what_the_buffer_says_of_the_stream_is_reported_when_asked_for(world: World) -> None:
    world.fill(count=200, capacity=20)
    body = world.http.get("/v1/buffer", params={"estimates": True}).json()
    assert set(body) == {"capacity", "items", "strata", "note", "estimates"}
    assert [each["figure"] for each in body["estimates"]] == ["samples", "label rate", "mean loss"]
    for each in body["estimates"]:
        assert set(each) == {"figure", "estimate", "low", "high", "too_few", "stream"}
    assert body["estimates"][0]["stream"] == 200
    assert body["note"] == "the stream from 2011-01-03 on, 1 week of event time"


def test_the_status_names_roles_partitions_and_what_training_waits_for(world: World) -> None:
    world.register("v1", "v2")
    world.fill(count=40)
    Heartbeats(world.engine).write(
        Process(uuid4(), "worker", "host-a", 17),
        60.0,
        Report("working", model=Model("v2", 2, "serving"), partitions=(Assigned(0, 10, 4),)),
    )
    body = world.http.get("/v1/status").json()
    assert set(body) == {
        "absent", "degraded", "roles", "kafka", "partitions", "active", "sequence", "training", "live_tests",
        "selection",
    }  # fmt: skip
    assert body["selection"] == {"advantage": None, "uniform_only": False, "comparisons": 0, "leader": None}
    assert body["absent"] == ["trainer", "api"]
    assert body["degraded"] == ["no trainer is running: start weir trainer", "no api is running: start weir api"]
    (role,) = body["roles"]
    assert (role["role"], role["host"], role["pid"], role["state"]) == ("worker", "host-a", 17, "working")
    assert role["model"] == {"version": "v2", "sequence": 2, "swap": "serving", "trouble": None}
    (partition,) = body["partitions"]
    assert (partition["owner"], partition["unread"], partition["undecided"]) == ("host-a/17", 10, 10)
    assert (partition["next"], partition["event_time"]) == (40, "2011-01-03T00:00:00Z")
    assert (body["active"], body["sequence"], body["training"]["state"]) == ("v2", 2, "no_trainer")


def test_an_api_stays_ready_when_another_role_is_gone_and_says_which(world: World) -> None:
    world.degraded.append("no trainer is running: start weir trainer")
    answer = world.http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "reasons": [], "degraded": ["no trainer is running: start weir trainer"]}


def test_a_threshold_is_null_until_something_was_turned_away(world: World) -> None:
    world.fill(count=2, capacity=1000)
    assert [stratum["threshold"] for stratum in world.http.get("/v1/buffer").json()["strata"]] == [None] * 4


def test_drift_is_described_by_test_with_the_latest_alarms(world: World) -> None:
    assert world.http.get("/v1/drift").json() == {"evaluated": None, "tests": [], "alarms": []}
    seen = DriftState("psi", "price", "all", "f", "", b"", 0.4, 0.3, 0.001, checked_ms=3_600_000, alarms=1)
    waiting = DriftState("adwin", "loss", "country=France", "f", "v2")
    alarm = Alarm(3_600_000, "psi", "price", "all", "", 0.4, 0.3, 0.001)
    world.drifted(Evaluation([seen, waiting], [alarm]))
    body = world.http.get("/v1/drift", params={"limit": 5}).json()
    assert body["evaluated"] == "1970-01-01T03:00:00Z"
    assert body["tests"] == [
        {
            "test": "adwin", "feature": "loss", "segment": "country=France", "version": "v2", "statistic": None,
            "threshold": None, "p_value": None, "checked": None, "alarms": 0,
        },
        {
            "test": "psi", "feature": "price", "segment": "all", "version": "", "statistic": 0.4, "threshold": 0.3,
            "p_value": 0.001, "checked": "1970-01-01T01:00:00Z", "alarms": 1,
        },
    ]  # fmt: skip
    (found,) = body["alarms"]
    assert (found["block"], found["test"], found["feature"]) == ("1970-01-01T01:00:00Z", "psi", "price")
    assert set(found) == {
        "id", "time", "block", "test", "feature", "segment", "version", "statistic", "threshold", "p_value",
    }  # fmt: skip
    assert 'weir_drift_alarms_total{feature="price",segment="all",test="psi"} 1.0' in world.http.get("/metrics").text


def test_a_sample_is_explained(world: World) -> None:
    samples = world.fill(count=40, capacity=1000)
    body = world.http.get(f"/v1/samples/{samples[3].id}").json()
    assert body["id"] == "s3"
    assert (body["subject"], body["surface"], body["query"]) == ("subject 3", "search", "query 3")
    assert (body["item"], body["text"], body["label"], body["outcome"]) == ("item 3", "text 3", 1, "click")
    assert body["time"] == "2011-01-03T00:00:00.003000Z"
    assert (body["importance"], body["estimator"], body["model"]) == (1.0, "uniform", "v1")
    assert body["stratum"] in ("holdout", "uniform", "positive")
    assert (body["probability"], body["in_buffer"]) == (1.0, True)
    assert isinstance(body["key"], float)


def test_the_history_of_a_sample_has_its_row_and_the_versions_that_learned_from_it(world: World) -> None:
    samples = world.fill(count=40, capacity=1000)
    ours = Pseudonyms("weir")
    world.register("v1")
    once = np.ones(2, np.int64)
    made_of = Lineage.of(samples[3:5], ["positive", "negative"], once * 1.5, once, once > 1, ours)
    world.registry.register("v2", "artifact", "sha", parent="v1", made_of=made_of)
    body = world.http.get("/v1/history/s3").json()
    assert set(body) == {
        "id", "standing", "why", "time", "stored_at", "stratum", "importance", "estimator", "model", "key", "threshold",
        "probability", "versions",
    }  # fmt: skip
    assert (body["standing"], body["time"], body["threshold"]) == ("held", "2011-01-03T00:00:00.003000Z", None)
    (version,) = body["versions"]
    assert (version["version"], version["use"]) == ("v2", {"samples": 1, "draws": 1, "weight": 1.5, "measured": 0})
    assert world.http.get("/v1/history/s5").json()["versions"] == []
    world.http.delete("/v1/subjects/subject%203")
    erased = world.http.get("/v1/history/s3").json()
    assert (erased["standing"], erased["stratum"]) == ("erased", None)
    assert erased["why"].startswith("its subject was erased at ")
    assert [each["version"] for each in erased["versions"]] == ["v2"]
    unknown = world.http.get("/v1/history/never").json()
    assert (unknown["standing"], unknown["versions"]) == ("unknown", [])
    assert "rejected at admission, evicted or erased, is not decided yet, or was never sent" in unknown["why"]
    assert world.http.get("/v1/models/v2/lineage").json() == {
        "version": "v2", "samples": 2, "subjects": 2, "draws": 2, "effective_sample_size": 2.0,
        "earliest": "2011-01-03T00:00:00.003000Z", "latest": "2011-01-03T00:00:00.004000Z",
        "strata": {"negative": 0.5, "positive": 0.5}, "measured": 0, "erased": 1,
    }  # fmt: skip
    assert "v1 has no lineage" in world.problem(world.http.get("/v1/models/v1/lineage"), 404)["detail"]


def test_an_id_with_slashes_and_spaces_is_asked_for_in_its_encoded_form(world: World) -> None:
    world.fill(count=1, capacity=1000, prefix="a/b c/")
    assert world.http.get("/v1/samples/a%2Fb%20c%2F0").json()["id"] == "a/b c/0"
    assert (
        "sample 'no/such one' is not in" in world.problem(world.http.get("/v1/samples/no%2Fsuch%20one"), 404)["detail"]
    )


def test_samples_are_paged_with_their_weights_and_without_the_holdout(world: World) -> None:
    world.fill(count=200, capacity=60)
    found, after = [], None
    while True:
        page = world.http.get("/v1/samples", params={"limit": 7} | ({"after": after} if after else {})).json()
        assert set(page) == {"samples", "next"}
        assert len(page["samples"]) <= 7
        found += page["samples"]
        after = page["next"]
        if after is None:
            break
        assert after == page["samples"][-1]["id"]
    strata = {stratum["name"]: stratum["items"] for stratum in world.http.get("/v1/buffer").json()["strata"]}
    assert len(found) == sum(strata.values()) - strata["holdout"]
    assert [each["id"] for each in found] == sorted({each["id"] for each in found})
    for each in found:
        assert each["weight"] * each["probability"] == pytest.approx(1)
        assert each["stratum"] != "holdout"
    assert {each["weight"] > 1 for each in found} == {True}  # the buffer is full
    body = world.http.get("/v1/samples", params={"stratum": "holdout", "limit": 500}).json()
    assert len(body["samples"]) == strata["holdout"] > 0
    assert set(body["samples"][0]) == {
        "id", "subject", "surface", "query", "item", "text", "attributes", "label", "outcome", "time", "importance",
        "estimator", "model", "prediction", "stratum", "probability", "weight",
    }  # fmt: skip


def test_models_are_listed_with_the_active_one_and_the_freeze(world: World) -> None:
    tests = dict.fromkeys(("shadow", "mirror", "rollback_proposed"))
    assert world.http.get("/v1/models").json() == {"active": None, "frozen": False, **tests, "versions": []}
    world.register("v1", "v2")
    body = world.http.get("/v1/models").json()
    assert (body["active"], body["frozen"]) == ("v2", False)
    assert (body["mirror"]["version"], body["mirror"]["against"], body["mirror"]["wins"]) == ("v1", "v2", 0)
    assert [set(version) for version in body["versions"]] == [{"version", "parent", "state", "created", "metrics"}] * 2
    assert [(x["version"], x["state"]) for x in body["versions"]] == [("v1", "retired"), ("v2", "active")]
    created = body["versions"][0]["created"]
    assert created.endswith("Z")
    assert datetime.fromisoformat(created).tzinfo is not None


def test_one_model_has_its_files_and_its_history(world: World) -> None:
    world.register("v1", "v2")
    body = world.http.get("/v1/models/v1").json()
    stored = world.registry.version("v1")
    assert (body["artifact"], body["sha256"]) == (stored.artifact, stored.sha256)
    assert [(entry["kind"], entry["from_version"], entry["to_version"]) for entry in body["log"]] == [
        ("promote", None, "v1"),
        ("promote", "v1", "v2"),
    ]


def test_samples_are_scored_by_every_estimator_in_order(world: World) -> None:
    asked = {
        "samples": [{"query": "q", "text": "abc", "label": 1}, {"query": "q", "text": "a", "label": 0}],
        "estimators": ["loss", "entropy"],
    }
    answer = world.http.post("/v1/score", json=asked)
    assert answer.json() == {"model": "v1", "scores": [{"loss": 4.0, "entropy": 4.0}, {"loss": 1.0, "entropy": 1.0}]}


def test_items_are_ranked_best_first_and_the_subject_is_optional(world: World) -> None:
    items = [{"item": "a", "text": "green lamp"}, {"item": "b", "text": "red lamp"}, {"item": "c", "text": "red"}]
    asked = {"query": "red lamp", "surface": "search", "items": items}
    answer = world.http.post("/v1/rank", json=asked).json()
    assert answer == {
        "model": "v1",
        "ranking": [{"item": "b", "score": 1.0}, {"item": "a", "score": 0.5}, {"item": "c", "score": 0.5}],
    }
    assert world.http.post("/v1/rank", json={**asked, "subject": "ann"}).json() == answer


def test_an_item_that_is_given_twice_is_ranked_twice(world: World) -> None:
    items = [{"item": "a", "text": "lamp"}, {"item": "b", "text": "red"}, {"item": "a", "text": "red lamp"}]
    asked = {"query": "red lamp", "surface": "search", "items": items}
    assert world.http.post("/v1/rank", json=asked).json()["ranking"] == [
        {"item": "a", "score": 1.0}, {"item": "a", "score": 0.5}, {"item": "b", "score": 0.5},
    ]  # fmt: skip


def test_without_a_query_the_context_is_what_the_subject_had_to_do_with_last(world: World) -> None:
    def last(subject: str, text: str, time_ms: int) -> Sample:
        return Sample(text, subject, "ad", "", text, text, time_ms, 0, 0)

    with transaction(world.engine) as connection:
        RecentItems(RecentLimits(3)).add(
            connection, [last("ann", "red", 1), last("ann", "cup", 2), last("bob", "mug", 3)]
        )
    items = [{"item": "a", "text": "mug"}, {"item": "b", "text": "red cup"}, {"item": "c", "text": "cup"}]
    asked = {"query": "", "surface": "recommendation", "items": items}

    def ranking(**more: str) -> list[str]:
        return [each["item"] for each in world.http.post("/v1/rank", json={**asked, **more}).json()["ranking"]]

    assert ranking(subject="ann") == ["b", "c", "a"]
    assert ranking(subject="bob") == ["a", "b", "c"]
    assert ranking(subject="ann", query="mug") == ["a", "b", "c"]
    assert ranking(subject="unknown") == ranking() == ["a", "b", "c"]


def test_health_is_distinguished_from_readiness(world: World) -> None:
    assert world.http.get("/healthz").json() == {"status": "alive"}
    assert world.http.get("/readyz").json() == {"ready": True, "reasons": [], "degraded": []}
    world.reasons = {"storage": "connection refused"}
    answer = world.http.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["storage: connection refused"])
    assert world.http.get("/healthz").status_code == 200


def test_the_race_is_read_for_those_that_ask_and_not_for_what_is_exported(unchanged: World) -> None:
    assert reader(Settings(), unchanged.engine)().race
    assert not reader(Settings(), unchanged.engine, with_race=False)().race


def test_the_shared_figures_are_exported(world: World) -> None:
    world.register("v1")
    world.fill(count=40, capacity=1000)
    answer = world.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'weir_model_info{version="v1"} 1.0' in answer.text
    assert 'weir_model_quality{metric="auc",predictor="serving",slice="all",version="v1"} 1.0' in answer.text
    assert 'weir_model_quality{metric="auc",predictor="baseline",slice="all",version="v0"} 0.5' in answer.text
    assert 'weir_predictor_quality{metric="auc",predictor="serving",slice="all"} 1.0' in answer.text
    assert 'weir_predictor_quality{metric="auc",predictor="baseline",slice="all"} 0.5' in answer.text
    assert sum(map(float, re.findall(r"^weir_buffer_items\{.*\} (.*)$", answer.text, re.MULTILINE))) == 40


def test_selection_shows_the_comparisons_and_whether_it_has_fallen_back(world: World) -> None:
    empty = {"advantage": None, "uniform_only": False, "results": [], "race": []}
    assert world.http.get("/v1/selection").json() == empty
    runs = Runs(world.engine)
    for _ in range(3):
        ControlArm(world.engine).add(runs.start("amount", {}), Compared(-0.02, 0.005), uniform_only=False)
    body = world.http.get("/v1/selection").json()
    assert body["uniform_only"]
    assert body["advantage"] == pytest.approx({"estimate": -0.02, "low": -0.0298, "high": -0.0102}, abs=1e-4)
    assert [each["difference"] for each in body["results"]] == [-0.02] * 3
    assert body["results"][0]["run"] > body["results"][2]["run"]
    metrics = world.http.get("/metrics").text
    assert "weir_selection_fallback 1.0" in metrics
    assert "weir_selection_advantage -0.02" in metrics


def test_the_live_state_is_sent_and_sent_again_when_it_changes(world: World) -> None:
    world.register("v1")
    with world.http.stream("GET", "/v1/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == "event: state"
        first = json.loads(next(lines).removeprefix("data: "))
        assert (first["active"], first["samples"], first["auc"]["weeks"]) == ("v1", 0, [])
        world.fill(count=40, capacity=1000)
        second = json.loads(next(line for line in lines if line.startswith("data: ")).removeprefix("data: "))
    assert (second["samples"], second["buffer"]["items"]) == (40, 40)
    assert second["auc"]["weeks"] == [{"week": "2011-01-03", "serving": 1.0, "frozen": 0.5}]


def test_the_interface_describes_itself(world: World) -> None:
    paths = world.http.get("/openapi.json").json()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert routes == {
        "GET /healthz", "GET /readyz", "GET /metrics", "POST /v1/score", "POST /v1/rank", "GET /v1/models",
        "GET /v1/models/{version}", "POST /v1/models/{version}/promote", "POST /v1/models/rollback",
        "POST /v1/models/{version}/lift",
        "POST /v1/training/freeze", "POST /v1/training/unfreeze", "POST /v1/training/run", "GET /v1/buffer",
        "GET /v1/samples", "GET /v1/samples/{id}", "GET /v1/stream", "GET /v1/status", "GET /v1/models/log",
        "GET /v1/audit", "GET /v1/drift", "GET /v1/selection", "GET /v1/models/{version}/lineage",
        "GET /v1/history/{id}", "DELETE /v1/subjects/{id}",
    }  # fmt: skip
    assert world.http.get("/docs").status_code == 200


def test_every_route_has_its_line_in_the_docs_and_every_line_its_route(world: World) -> None:
    docs = (Path(__file__).parents[3] / "docs" / "http.md").read_text()
    documented = {
        route
        for line in re.findall(r"^\| (`[A-Z]+ /.*?) \|", docs, re.MULTILINE)
        for route in re.findall("`(.+?)`", line)
    }
    paths = world.http.get("/openapi.json").json()["paths"]
    assert documented == {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
