"""Texts that users write and Postgres stores: names of actors, reasons, names of tokens."""

from importance.errors import InvalidInput

REASON_CHARACTERS = 2_000
ACTOR_CHARACTERS = 200


def storable(name: str, text: str, most: int, *, least: int = 1) -> str:
    """Return ``text``; raise InvalidInput unless it has ``least`` to ``most`` characters that can be stored."""
    if not least <= len(text.strip()) <= len(text) <= most:
        raise InvalidInput(
            f"the {name} has {len(text.strip())} characters; it must have {least} to {most}: shorten or complete it"
        )
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput(f"the {name} holds U+0000 or half a surrogate pair, which cannot be stored: leave it out")
    return text
