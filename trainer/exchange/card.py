"""The model card of a version: what it is, what it was trained on, how it was judged, and how to load it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainer.version_directory import INTERACTION


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What is known of a version. ``line`` are its ancestors, the parent first; ``log`` its entries of the log.

    ``tasks`` are the names of its logits where it has one for each of several labels.
    """

    version: str
    kind: str
    parameters: int
    max_tokens: int
    created: datetime
    state: str
    line: Sequence[str]
    metrics: Mapping[str, Any]
    log: Sequence[str]
    sha256: str
    tasks: Sequence[str] = ()


def model_card(facts: CardFacts) -> str:
    """Return the card in Markdown, with the front matter that the Hub reads."""
    code = ", trust_remote_code=True" if facts.kind == INTERACTION else ""
    metrics = [f"| {name} | {_shown(value)} |" for name, value in facts.metrics.items() if not _is_nested(value)]
    metrics += [f"| auc of {task} | {_shown(of['auc'])} |" for task, of in facts.metrics.get("tasks", {}).items()]
    return "\n".join(
        [
            "---", "library_name: transformers", "pipeline_tag: text-classification", "tags: [weir]", "---", "",
            f"# Version {facts.version}", "",
            "The probability that a shown item is answered by an action (a click or stronger, unless the service was "
            "set up otherwise), given the query or the context that it was shown for.", "",
            f"- Network: {facts.kind}, {facts.parameters:,} parameters, inputs of at most {facts.max_tokens} tokens.",
            f"- Made {facts.created:%Y-%m-%d %H:%M:%S} UTC; state when exported: {facts.state}.",
            f"- Descends from: {', '.join(facts.line) or 'no other version'}.",
            f"- sha256 of its artifact: `{facts.sha256}`.", "",
            "## Input and output", "",
            "A pair of texts: the item's text, followed by a space and `price0` to `price19` where its price is known "
            f"(half an octave a band), and the query. {_output(facts.tasks)}", "",
            "```python",
            "from transformers import AutoModelForSequenceClassification, AutoTokenizer",
            "",
            f'tokenizer = AutoTokenizer.from_pretrained("DIRECTORY"{code})',
            f'model = AutoModelForSequenceClassification.from_pretrained("DIRECTORY"{code})',
            'inputs = tokenizer(["red lamp price9"], ["lamp"], truncation=True, padding=True, return_tensors="pt")',
            "logits = model(**inputs).logits",
            "```", "",
            "## Training", "",
            "Incremental fine-tunes on a bounded sample of a live stream, drawn by importance and weighted by the "
            "inverse of the inclusion probability. Subjects of the holdout never train.", "",
            "## Evaluation", "",
            "On the holdout as it was when the version was made: figures of two versions are of different samples.", "",
            "| metric | value |", "|---|---|", *metrics, "",
            "## History", "",
            *([f"- {entry}" for entry in facts.log] or ["- never promoted"]), "",
            "## Limits", "",
            "It was trained on what one shop showed and on how its users acted: what was never shown, or shown to few, "
            "is unknown to it, and a position's effect on clicks is part of what it learned.", "",
        ]
    )  # fmt: skip


def _output(tasks: Sequence[str]) -> str:
    if not tasks:
        return "The output is one logit z, P = 1 / (1 + exp(−z)), or two, P = softmax(z)[1]."
    first, *further = tasks
    return (
        f"The output is a logit z for each label, P = 1 / (1 + exp(−z)): {first}, by which it was judged, "
        f"{', '.join(further)}."
    )


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping | list)


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
