"""Train a model of your own on what Weir kept: the file of ``weir buffer export samples.parquet --holdout``.

    python train_from_export.py samples.parquet

Needs pandas, pyarrow and scikit-learn; nothing of Weir.
"""

import sys

import pandas as pd
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline


def main(file: str) -> None:
    """Train on all strata but the holdout, and judge on the holdout, both by their weights."""
    samples = pd.read_parquet(file)
    samples["words"] = samples["query"] + " \u2192 " + samples["text"]
    held = samples["stratum"] == "holdout"
    training, judging = samples[~held], samples[held]
    model = make_pipeline(HashingVectorizer(ngram_range=(1, 2), n_features=2**16), LogisticRegression(max_iter=500))
    model.fit(training["words"], training["label"], logisticregression__sample_weight=training["weight"])
    predicted = model.predict_proba(judging["words"])[:, 1]
    auc = roc_auc_score(judging["label"], predicted, sample_weight=judging["weight"])
    print(f"trained on {len(training)} samples, AUC {auc:.3f} on {len(judging)} of the holdout")


if __name__ == "__main__":
    main(sys.argv[1])
