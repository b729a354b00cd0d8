"""What an operator changes over HTTP happens once, is logged, and is told to the workers."""

from storage.lock import Right, alone

from .conftest import World


def test_a_rollback_lets_the_previous_version_serve_and_freezes_training(world: World) -> None:
    world.register("v1", "v2")
    answer = world.http.post("/v1/models/rollback", json={"reason": "clicks fell"})
    assert answer.json() == {"sequence": 3, "version": "v1", "frozen": True}
    assert world.http.get("/v1/models").json()["active"] == "v1"
    (entry,) = world.announced
    assert (entry.from_version, entry.to_version, entry.reason) == ("v2", "v1", "clicks fell")


def test_consecutive_rollbacks_walk_back(world: World) -> None:
    world.register("v1", "v2", "v3")
    walked = [world.http.post("/v1/models/rollback", json={"reason": "worse"}).json()["version"] for _ in range(2)]
    assert walked == ["v2", "v1"]
    detail = world.problem(world.http.post("/v1/models/rollback", json={"reason": "worse"}), 409)["detail"]
    assert "no version to roll back to" in detail


def test_a_rollback_may_name_its_target(world: World) -> None:
    world.register("v1", "v2", "v3")
    asked = {"version": "v1", "reason": "worse"}
    assert world.http.post("/v1/models/rollback", json=asked).json()["version"] == "v1"
    world.problem(world.http.post("/v1/models/rollback", json={"version": "v9", "reason": "worse"}), 404)


def test_a_rollback_needs_a_reason(world: World) -> None:
    world.register("v1", "v2")
    body = world.problem(world.http.post("/v1/models/rollback", json={}), 422)
    assert body["errors"] == [{"pointer": "/reason", "detail": "Field required"}]
    assert world.http.get("/v1/models").json()["active"] == "v2"


def test_an_operator_promotes_any_version_and_is_reported_when_it_serves_already(world: World) -> None:
    world.register("v1", "v2")
    assert world.http.post("/v1/models/v1/promote").json() == {"sequence": 3, "version": "v1", "frozen": False}
    world.problem(world.http.post("/v1/models/v1/promote", json={"reason": "again"}), 409)
    world.problem(world.http.post("/v1/models/v7/promote"), 404)
    assert [entry.to_version for entry in world.announced] == ["v1"]


def test_training_is_frozen_and_unfrozen_once(world: World) -> None:
    world.register("v1")
    assert world.http.post("/v1/training/freeze", json={"reason": "holidays"}).json() == {"frozen": True}
    world.problem(world.http.post("/v1/training/freeze"), 409)
    world.problem(world.http.post("/v1/training/run"), 409)
    assert world.http.post("/v1/training/unfreeze").json() == {"frozen": False}
    assert [entry.reason for entry in world.registry.log()][1:] == ["holidays", "asked for over HTTP"]


def test_a_request_to_train_keeps_its_reason_and_takes_no_unknown_field(world: World) -> None:
    assert world.http.post("/v1/training/run", json={"reason": "new season"}).status_code == 202
    refused = world.problem(world.http.post("/v1/training/run", json={"why": "new season"}), 422)
    assert refused["errors"] == [{"pointer": "/why", "detail": "Extra inputs are not permitted"}]
    assert world.waiting_request() == ("http", "new season")


def test_requests_to_train_become_one(world: World) -> None:
    answers = [world.http.post("/v1/training/run") for _ in range(2)]
    assert [(x.status_code, x.json()["state"]) for x in answers] == [(202, "accepted"), (202, "coalesced")]


def test_a_damaged_version_is_neither_promoted_nor_rolled_back_to(world: World) -> None:
    world.register("v1", "v2", "v3")
    world.spoil("v2")
    detail = world.problem(world.http.post("/v1/models/v2/promote"), 409)["detail"]
    assert detail.startswith("version v2 was not promoted: model.safetensors of artifact v2-")
    assert "does not have the sha256" in detail
    detail = world.problem(world.http.post("/v1/models/rollback", json={"reason": "worse"}), 409)["detail"]
    assert detail.startswith("nothing was rolled back, version v2 cannot be served: ")
    assert detail.endswith("roll back to v1")
    assert world.http.get("/v1/models").json()["active"] == "v3"
    assert world.announced == []
    body = {"version": "v1", "reason": "worse"}
    assert world.http.post("/v1/models/rollback", json=body).json()["version"] == "v1"


def test_the_log_is_whole_and_says_what_was_active_at_a_time(world: World) -> None:
    world.register("v1", "v2")
    body = world.http.get("/v1/models/log").json()
    assert [(entry["kind"], entry["to_version"]) for entry in body["log"]] == [("promote", "v1"), ("promote", "v2")]
    assert (body["at"], body["version"]) == (None, None)
    first = body["log"][0]["time"]
    assert world.http.get("/v1/models/log", params={"at": first}).json()["version"] == "v1"
    assert world.http.get("/v1/models/log", params={"at": "2011-01-01T00:00:00Z"}).json()["version"] is None
    world.problem(world.http.get("/v1/models/log", params={"at": "2011-01-01T00:00:00"}), 422)


def test_a_request_to_train_says_when_no_trainer_is_running(world: World) -> None:
    assert world.http.post("/v1/training/run").json()["note"] is None
    world.degraded.append("no trainer is running: start weir trainer")
    answer = world.http.post("/v1/training/run")
    assert answer.status_code == 202
    assert answer.json()["note"] == "no trainer is running: start weir trainer"


def test_a_subject_is_erased_once_for_all_and_what_is_left_is_named(world: World) -> None:
    world.register("v1")
    world.fill(count=40, capacity=1_000)
    shown = world.http.delete("/v1/subjects/subject%203", params={"dry_run": True}).json()
    assert (shown["dry_run"], shown["erased"], shown["rows"]["buffer_samples"]) == (True, None, 1)
    assert world.http.get("/v1/samples/s3").status_code == 200
    body = world.http.delete("/v1/subjects/subject%203", params={"reason": "ticket 17"}).json()
    assert set(body) == {
        "subject", "dry_run", "erased", "blocked", "welcome_from", "rows", "versions", "unsearchable", "training",
        "topics",
    }  # fmt: skip
    assert body["rows"] == {
        "buffer_keys": 1, "buffer_samples": 1, "buffer_subjects": 0, "buffer_untrimmed": 0, "recent_items": 0,
    }  # fmt: skip
    assert (body["blocked"], body["versions"], body["training"]) == (False, [], None)
    assert body["welcome_from"] > body["erased"]
    assert body["topics"][1] == {"topic": "interactions.dead", "removed": 2, "remain": None, "retention_ms": None}
    world.problem(world.http.get("/v1/samples/s3"), 404)
    again = world.http.delete("/v1/subjects/subject%203", params={"block": True}).json()
    assert (sum(again["rows"].values()), again["blocked"], again["welcome_from"]) == (0, True, None)
    last, first = world.http.get("/v1/audit", params={"action": "subjects.erase"}).json()["entries"]
    assert (first["target"], first["reason"], first["via"]) == (body["subject"], "ticket 17", "http")
    assert last["details"]["blocked"]
    assert "subject 3" not in world.http.get("/v1/audit").text


def test_an_erasure_that_did_not_reach_kafka_is_a_503_and_complete_when_it_is_repeated(world: World) -> None:
    world.fill(count=40, capacity=1_000)
    world.kafka_trouble = "Kafka at k:9092 does not answer"
    detail = world.problem(world.http.delete("/v1/subjects/subject%203"), 503)["detail"]
    assert detail == ("erased from the database, not yet from Kafka: Kafka at k:9092 does not answer; then erase again")
    world.problem(world.http.get("/v1/samples/s3"), 404)
    world.kafka_trouble = ""
    with alone(world.engine, Right.ERASE) as free:
        assert free
        assert "another erasure" in world.problem(world.http.delete("/v1/subjects/subject%204"), 409)["detail"]
    assert world.http.get("/v1/samples/s4").status_code == 200
    assert world.http.delete("/v1/subjects/subject%203").json()["topics"][1]["removed"] == 2
