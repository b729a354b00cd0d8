"""Close the loop: rank items for a shopper, show the best, send the click, let the model learn, and rank again.

    python close_the_loop.py http://127.0.0.1:8787 localhost:9092 interactions

Needs httpx and kafka-python; nothing of Weir. Waits for the attribution window, half an hour by default: for a trial
start Weir with WEIR_ATTRIBUTION_WINDOW_SECONDS=10, WEIR_IDLE_SECONDS=5 and WEIR_RECENT_ITEMS=3.
"""

import json
import sys
import time
import uuid

import httpx
from kafka import KafkaProducer

ITEMS = {"p1": "Red table lamp", "p2": "Blue desk lamp", "p3": "Oak dining table", "p4": "Paper lantern, set of 3"}
SHOWN = 3
POLL_SECONDS = 1.0


def main(api: str, bootstrap: str, topic: str) -> None:
    """Go once around the loop, as a shop does for each of its pages."""
    shopper = f"shopper-{uuid.uuid4().hex[:8]}"
    first = rank(api, shopper, "lamp")
    best = first["ranking"][:SHOWN]
    print(f"{first['model']} ranks for the query 'lamp':", describe(best))

    impressions = show_and_click(bootstrap, topic, shopper, "lamp", [each["item"] for each in best])
    print(f"{shopper} was shown {len(impressions)} items and clicked {best[-1]['item']}")

    sample = until_known(api, impressions[-1])
    print(f"the window has closed: label {sample['label']}, kept with probability {sample['probability']:.2f}")

    training = learn(api)
    print(f"the model was trained: {training['last_result']}")

    again = rank(api, shopper, "")  # the context is what the shopper clicked, where WEIR_RECENT_ITEMS keeps it
    print(f"{again['model']} ranks for what {shopper} clicked:", describe(again["ranking"][:SHOWN]))


def rank(api: str, subject: str, query: str) -> dict:
    """The items of the shop, best first."""
    items = [{"item": item, "text": text} for item, text in ITEMS.items()]
    asked = {"query": query, "surface": "recommendation", "subject": subject, "items": items}
    return call(f"{api}/v1/rank", asked)


def show_and_click(bootstrap: str, topic: str, subject: str, query: str, shown: list[str]) -> list[str]:
    """Send an impression for each item that was shown, and a click on the last; the impressions' ids."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    now_ms = int(time.time() * 1000)

    def send(event: dict) -> None:
        producer.send(topic, json.dumps(event | {"subject": subject}).encode(), key=subject.encode())

    ids = [f"i-{uuid.uuid4()}" for _ in shown]
    for position, (id_, item) in enumerate(zip(ids, shown, strict=True), start=1):
        send({
            "id": id_, "type": "impression", "time": now_ms, "surface": "recommendation", "query": query,
            "item": item, "text": ITEMS[item], "position": position,
        })  # fmt: skip
    send({"id": f"c-{uuid.uuid4()}", "type": "click", "time": now_ms + 1, "impression": ids[-1]})
    producer.close()
    return ids


def until_known(api: str, sample: str) -> dict:
    """Wait until the impression's window has closed, and it is a sample in the buffer."""
    while True:
        try:
            return call(f"{api}/v1/samples/{sample}")
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 404:
                raise
        time.sleep(POLL_SECONDS)


def learn(api: str) -> dict:
    """Ask for a fine-tune, and wait for its end: the gate promotes the candidate, or keeps the version that serves."""
    call(f"{api}/v1/training/run", {"reason": "close the loop"})
    while True:
        training = call(f"{api}/v1/status")["training"]
        if not training["asked"] and training["running_since"] is None:
            return training
        time.sleep(POLL_SECONDS)


def call(url: str, body: dict | None = None) -> dict:
    """Send JSON, or ask without a body; what is answered."""
    return httpx.request("GET" if body is None else "POST", url, json=body, timeout=30).raise_for_status().json()


def describe(ranking: list[dict]) -> str:
    """Items with their scores."""
    return ", ".join(f"{each['item']} {each['score']:.3f}" for each in ranking)


if __name__ == "__main__":
    main(*sys.argv[1:])
