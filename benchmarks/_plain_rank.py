"""A plain endpoint for comparison: FastAPI, the tokenizer of transformers, one forward pass a request.

    python benchmarks/_plain_rank.py VERSION_DIRECTORY PORT

The network and its weights are those that Weir serves; the rest is what one writes in an afternoon.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where `trainer` lies

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import PreTrainedTokenizerFast

from trainer import version_directory as versions
from trainer.tokens import Batch


class Item(BaseModel):
    """One item to rank."""

    item: str
    text: str


class RankRequest(BaseModel):
    """A query and the items to rank for it."""

    query: str
    surface: str
    items: list[Item]


class Ranked(BaseModel):
    """An item and its probability."""

    item: str
    score: float


class RankAnswer(BaseModel):
    """The items, best first."""

    ranking: list[Ranked]


def create_app(directory: Path) -> FastAPI:
    """Return the endpoint over one version."""
    model = versions.load(directory)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"), pad_token="[PAD]")  # noqa: S106 - a word, no password
    app = FastAPI()

    @app.post("/v1/rank")
    def rank(request: RankRequest) -> RankAnswer:
        """Items by the probability of a positive outcome, best first."""
        texts, queries = [each.text for each in request.items], [request.query] * len(request.items)
        longest = model.tokens.max_tokens
        encoded = tokenizer(
            texts, queries, padding=True, truncation=True, max_length=longest, return_tensors="pt",
            return_token_type_ids=True,
        )  # fmt: skip
        batch = Batch(encoded["input_ids"], encoded["token_type_ids"], encoded["attention_mask"])
        with torch.inference_mode():
            scores = torch.sigmoid(model.network(batch).logits[:, 0]).tolist()
        ranked = sorted(zip(request.items, scores, strict=True), key=lambda pair: -pair[1])
        return RankAnswer(ranking=[Ranked(item=each.item, score=score) for each, score in ranked])

    return app


if __name__ == "__main__":
    torch.set_num_threads(1)  # as in Weir: faster for a small network, and requests compute side by side
    uvicorn.run(create_app(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
