"""A shop's own JSON: how it says what an event says, and the mapping by which it is read."""

from collections.abc import Mapping

FIELDS = (
    "id=event_id, type=what, type.view=impression, type.basket=add_to_cart, time.seconds=at, subject=user.id, "
    "impression=shown_in, surface=page, surface.home=recommendation, query=search.phrase, item=product.sku, "
    "text=product.title, attributes=product.facts, position=rank, value=stars"
)
"""``WEIR_FIELDS``. A message without any of these paths has Weir's own form."""

_WORDS = {"impression": "view", "add_to_cart": "basket", "recommendation": "home"}


def as_shop(event: Mapping[str, object]) -> dict[str, object]:
    """The event as the shop sends it."""
    time_ms = event["time"]
    assert isinstance(time_ms, int)
    said: dict[str, object] = {
        "event_id": event["id"],
        "what": _word(event["type"]),
        "at": time_ms / 1_000,
        "user": {"id": event["subject"], "country": "no"},
    }
    if event["type"] == "impression":
        said["page"] = _word(event["surface"])
        said["search"] = {"phrase": event["query"]}
        said["product"] = {"sku": event["item"], "title": event["text"], "facts": event["attributes"]}
        said["rank"] = event["position"]
    else:
        said["shown_in"] = event["impression"]
        said["stars"] = event.get("value")
    return said


def _word(ours: object) -> object:
    return _WORDS.get(str(ours), ours)
