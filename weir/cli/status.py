"""``weir status``: show roles, partitions, model and training, and what is missing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from weir.cli.output import AsJson, columns, counted, print_json

if TYPE_CHECKING:
    from weir.settings import Settings
    from weir.status.comparisons import LiveTests
    from weir.status.selection import SelectionSummary
    from weir.status.service import Role, Status, Training


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(as_json: AsJson = False) -> int:
    """Show roles, partitions, model and training. Exits 1 when a needed role is absent or a process is lost."""
    from weir.settings import read

    found = read_status(read())
    if as_json:
        print_json(found)
    else:
        typer.echo("\n".join(_lines(found)))
    return int(bool(found.degraded))


def read_status(settings: "Settings") -> "Status":
    """Read the status from the services that the settings or a running stack name."""
    from storage.engine import create_engine
    from weir.demo.addresses import located, remedy
    from weir.settings.topics import measured
    from weir.status.selection import reader
    from weir.status.service import take

    resolved = located(settings, database=True)
    engine = create_engine(resolved.database_url, pool_size=1)
    try:
        return take(engine, measured(resolved), remedy(resolved), reader(resolved, engine))
    finally:
        engine.dispose()


def _lines(found: "Status") -> Iterator[str]:
    yield from (f"missing: {line}" for line in found.degraded)
    yield columns(
        ("role", "host/pid", "state", "since", "seen", "serves", "last progress", "detail"),
        [_row(role) for role in found.roles],
    )
    yield ""
    if found.kafka is not None:
        yield f"kafka     {found.kafka}: partitions are shown as the workers report them"
    if found.partitions:
        yield columns(
            ("partition", "owner", "unread", "undecided", "waiting", "event time"),
            [
                (x.partition, x.owner, x.unread, x.undecided, x.waiting, show_time(x.event_time))
                for x in found.partitions
            ],
        )
    yield ""
    yield f"model     {found.active or 'none yet: run weir models init'}"
    yield f"training  {training(found.training)}"
    yield from _live_tests(found.live_tests)
    yield f"selection {selection(found.selection)}"
    errors = [role for role in found.roles if role.error]
    if errors:
        yield ""
        yield columns(("last error", "of", "what"), [(show_time(x.error_time), x.name, x.error) for x in errors])


def _live_tests(found: "LiveTests") -> Iterator[str]:
    if found.shadow is not None:
        yield f"shadow    {found.shadow.line}"
    if found.mirror is not None and found.mirror.wins + found.mirror.losses + found.mirror.ties:
        yield f"mirror    {found.mirror.line}"
    if found.rollback_proposed is not None:
        proposed = found.rollback_proposed
        yield f"rollback  proposed from {proposed.version} to {proposed.to}: {proposed.reason}"


def _row(role: "Role") -> tuple[object, ...]:
    model = role.model
    version = model.version if model.swap == "serving" else f"{model.version or '-'} ({model.swap})"
    state = "not ready" if role.state == "not_ready" else role.state
    return (
        role.role,
        f"{role.host}/{role.pid}",
        state,
        show_time(role.started),
        f"{role.silent_seconds:.0f} s ago",
        None if role.role == "trainer" else version,
        show_time(role.progressed),
        "stopped in order" if role.stopped else "; ".join(role.reasons),
    )


def training(found: "Training") -> str:
    """Return the state of training, or what it waits for, in one line."""
    asked = "; an operator asked for a run" if found.asked else ""
    if found.frozen is not None and found.state != "running":
        who = found.frozen
        return f"frozen since {show_time(who.time)} by {who.actor}: {who.reason}{asked}"
    match found.state:
        case "running":
            return f"running since {show_time(found.running_since)} (trigger: {found.trigger})"
        case "no_trainer":
            return f"no trainer is running{asked}"
        case "no_model":
            return "waits for a first model: run weir models init"
    return f"waits: {_waits(found)}{asked}"


def selection(found: "SelectionSummary") -> str:
    """Return the advantage of selected over uniform samples, and the leader of the race, in one line."""
    parts = ["no control arm was made yet"]
    if (pooled := found.advantage) is not None:
        interval = f"{pooled.estimate:+.4f} in AUC over uniform [{pooled.low:+.4f}, {pooled.high:+.4f}]"
        parts = [f"{interval}, {counted(found.comparisons, 'control arm')}"]
    if found.uniform_only:
        parts.append("has fallen back to uniform samples")
    if found.leader is not None:
        decisive = "decisively" if found.leader.is_better else "not decisively"
        parts.append(f"the race is led by {found.leader.policy}, {decisive}")
    return "; ".join(parts)


def _waits(found: "Training") -> str:
    waits = found.waits
    if waits is None:
        return "no trainer has reported for what yet"
    parts = []
    if waits["in_shadow"]:
        parts.append("a candidate is in shadow")
    if waits["trainable"] < waits["least_samples"]:
        parts.append(f"the buffer holds {waits['trainable']} of the {waits['least_samples']} samples that it needs")
    if waits["cooldown_seconds"] > 0:
        parts.append(f"{waits['cooldown_seconds']:.0f} s of the pause after the last run are left")
    parts.append(f"{waits['fresh']} of {waits['after_samples']} new samples")
    if waits["after_seconds"] is not None:
        parts.append(f"or {waits['after_seconds']:.0f} s")
    return ", ".join(parts)


def show_time(time: object) -> str | None:
    """Return a time as text, to the second; None stays None."""
    return None if time is None else f"{time:%Y-%m-%d %H:%M:%S}Z"
