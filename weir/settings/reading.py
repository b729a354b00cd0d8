"""Read the settings of this process, and show each with its value and its source."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from importance.errors import InvalidInput
from weir.process.masking import masked_url
from weir.settings.requirement import requirement
from weir.settings.sections.base import ENV_FILE, PREFIX, variable
from weir.settings.settings import Settings

Source = Literal["default", "environment", ".env"]
VARIABLES = frozenset(variable(name) for name in Settings.model_fields)


def read(instead: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this process; raise ``InvalidInput`` with one line that names all problems.

    ``instead`` holds values by variable that replace those of the environment.
    """
    replaced = dict(instead or {})
    problems = [_unknown(name) for name in sorted({*_given(), *replaced}) if name not in VARIABLES]
    settings = None
    try:
        settings = Settings(**{_field(name): value for name, value in replaced.items()})  # type: ignore[arg-type]  # validated there
    except ValidationError as error:
        problems += [_problem(detail) for detail in error.errors() if detail["type"] != "default_factory_not_called"]
    if settings is None or problems:
        raise InvalidInput("; ".join(problems))
    return settings


@dataclass(frozen=True)
class SettingSource:
    """One setting as ``weir settings`` shows it; ``value`` is masked where it is secret."""

    variable: str
    value: str
    source: Source
    meaning: str


def sources(settings: Settings) -> list[SettingSource]:
    """Return every setting with its value, source and meaning, section by section."""
    given = _given()
    return [
        SettingSource(
            variable=variable(name),
            value=shown(name, getattr(settings, name)),
            source=given.get(variable(name), "default"),
            meaning=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def shown(name: str, value: object) -> str:
    """Return a field's value as text that may be printed: secrets and passwords inside a URL are ``***``."""
    if value is None:
        return ""
    match _secrecy(name):
        case "whole":
            return "***" if value != Settings.model_fields[name].default else str(value)
        case "password":
            return masked_url(str(value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def secrets(settings: Settings) -> list[str]:
    """Return the secret values, to mask them in logs; a default value is not secret."""
    found = []
    for name, field in Settings.model_fields.items():
        value = str(getattr(settings, name))
        if _secrecy(name) == "whole" and value != field.default:
            found.append(value)
        elif _secrecy(name) == "password" and (password := urlsplit(value).password):
            found += [password, unquote(password)]
    with suppress(InvalidInput):  # an unreadable file holds no secret; its user raises the error
        found += filter(None, [settings.kafka_login_password])
    return found


def _secrecy(name: str) -> str | None:
    extra = Settings.model_fields[name].json_schema_extra
    return str(extra["secret"]) if isinstance(extra, dict) and "secret" in extra else None


def _given() -> dict[str, Source]:
    """Return the ``WEIR_*`` variables that are set and not empty, with their source; the environment overrides."""
    found: dict[str, Source] = {}
    for name, value in dotenv_values(ENV_FILE).items():
        if name.upper().startswith(PREFIX) and value:
            found[name.upper()] = ".env"
    for name, value in os.environ.items():
        if name.upper().startswith(PREFIX) and value:
            found[name.upper()] = "environment"
    return found


def _field(name: str) -> str:
    return name.removeprefix(PREFIX).lower()


def _unknown(name: str) -> str:
    close = get_close_matches(_field(name), Settings.model_fields, n=1)
    hint = f"did you mean {variable(close[0])}?" if close else "unset it; docs/settings.md lists them all"
    return f"{name} is not a setting of Weir: {hint}"


def _problem(detail: ErrorDetails) -> str:
    """Return one error of pydantic as a sentence: what, the value, the bound, the remedy."""
    if not detail["loc"]:  # from the validator of settings that conflict
        return str(detail["msg"]).removeprefix("Value error, ")
    name = str(detail["loc"][0])
    if detail["type"] == "value_error":  # from a validator of one setting: its message is complete
        return f"{variable(name)}: {str(detail['msg']).removeprefix('Value error, ')}"
    value = "***" if _secrecy(name) else repr(detail["input"])
    must = f"it must be {found}" if (found := requirement(detail)) else "expected"
    return f"{variable(name)} is {value}; {must}: {Settings.model_fields[name].description}"
