"""Passwords in any text."""

import pytest

from weir.process.masking import masked_url


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://ann@db/weir", "postgresql://ann@db/weir"),
        ("postgresql+psycopg://ann:a:b@db/weir", "postgresql+psycopg://ann:***@db/weir"),
        ("at http://host:80/a@b and postgresql://u:p@h", "at http://host:80/a@b and postgresql://u:***@h"),
        ("GET https://t0k3n@host:80/a failed", "GET https://***@host:80/a failed"),
        ("HTTP://ann:a@b:c@host", "HTTP://***@host"),
        ("abfs://models@account/weir", "abfs://models@account/weir"),
        ("host=db password=hunter22 user=ann", "host=db password=*** user=ann"),
        ("a sentence: about nothing@all", "a sentence: about nothing@all"),
    ],
)
def test_passwords_are_masked_in_any_text(text: str, masked: str) -> None:
    assert masked_url(text) == masked
