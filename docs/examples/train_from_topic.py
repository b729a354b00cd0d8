"""Train a model of your own from the topic ``importance`` alone, without Weir's database.

    python train_from_topic.py localhost:9092 importance

Needs kafka-python and scikit-learn; nothing of Weir.
"""

import json
import sys

from kafka import KafkaConsumer
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline


def main(bootstrap: str, topic: str) -> None:
    """Train on what the buffer kept, weighted by 1 / probability, and judge on the holdout."""
    samples = read(bootstrap, topic)
    training = [each for each in samples if each["kept"] and each["stratum"] != "holdout"]
    judging = [each for each in samples if each["stratum"] == "holdout"]
    model = make_pipeline(HashingVectorizer(ngram_range=(1, 2), n_features=2**16), LogisticRegression(max_iter=500))
    weights = [1 / each["probability"] for each in training]
    model.fit(words(training), labels(training), logisticregression__sample_weight=weights)
    auc = roc_auc_score(labels(judging), model.predict_proba(words(judging))[:, 1])
    print(f"trained on {len(training)} samples, AUC {auc:.3f} on {len(judging)} of the holdout")


def read(bootstrap: str, topic: str) -> list[dict]:
    """Every sample up to now. Scores are delivered at least once: of the records of one sample the first counts."""
    found: dict[str, dict] = {}
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False,
        consumer_timeout_ms=10_000,
    )  # fmt: skip
    for record in consumer:
        sample = json.loads(record.value)
        if "text" not in sample:  # sent while WEIR_IMPORTANCE_PAYLOAD was off
            continue
        found.setdefault(sample["sample"], sample)
    consumer.close()
    return list(found.values())


def words(samples: list[dict]) -> list[str]:
    """What a model reads of each sample."""
    return [f"{each['query']} \u2192 {each['text']}" for each in samples]


def labels(samples: list[dict]) -> list[int]:
    """1 for what was clicked, or more."""
    return [each["label"] for each in samples]


if __name__ == "__main__":
    main(*sys.argv[1:])
