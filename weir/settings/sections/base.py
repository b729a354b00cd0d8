"""Shared by the sections: types of values, the variable of a field, and the check of conflicting values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "WEIR_"
ENV_FILE = ".env"
TEN_YEARS = 10 * 365 * 86_400.0  # key arithmetic is tested that far

AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
Port = Annotated[int, Field(ge=0, le=65535)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=TEN_YEARS)]
EventSeconds = Annotated[float, Field(ge=0.001, le=TEN_YEARS)]  # event time counts milliseconds
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class Section(BaseSettings):
    """Fields that belong together. A section that needs fields of another one extends it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        hide_input_in_errors=True,
    )

    def _disagreements(self) -> Iterator[str]:
        """Yield conflicts between fields, which no single bound expresses. Extended by each section."""
        yield from ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := list(self._disagreements()):
            raise ValueError("; ".join(problems))
        return self


def variable(field: str) -> str:
    """Return the environment variable of a field.

    >>> variable("buffer_capacity")
    'WEIR_BUFFER_CAPACITY'
    """
    return PREFIX + field.upper()
