"""Where the services, the files and the local stack are."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from storage.address import problem as url_problem
from weir.settings.sections.base import AbsolutePath, Section


class Addresses(Section):
    """Addresses of Kafka, Postgres and the artifact store, and local directories."""

    home: AbsolutePath = Field(default=Path(".weir"), description="the local stack's data, logs and stack.json")
    kafka_bootstrap: str = Field(
        default="",
        pattern=r"^$|^[^\s:,/]+:\d+(,[^\s:,/]+:\d+)*$",
        description="host:port of an existing Kafka, several with commas; empty: a local one is started",
    )
    database_url: str = Field(
        default="",
        repr=False,
        json_schema_extra={"secret": "password"},
        description="postgresql://user:password@host:port/name of an existing Postgres; empty: a local one is started",
    )
    artifacts_url: str = Field(
        default_factory=lambda known: str(known["home"] / "artifacts") if "home" in known else "",
        repr=False,
        json_schema_extra={"secret": "password"},
        description="fsspec URL or directory of model files; default: a directory under WEIR_HOME",
    )
    mlflow_uri: str = Field(
        default="",
        repr=False,
        json_schema_extra={"secret": "password"},
        description="MLflow tracking and registry URI in which the trainer mirrors the versions; empty: none",
    )
    mlflow_model: str = Field(
        default="weir",
        pattern=r"^[\w .-]{1,200}$",
        description="registered model and experiment there, of this service alone",
    )
    data_dir: AbsolutePath | None = Field(default=None, description="directory of data sets; empty: the usual ones")
    tools_dir: AbsolutePath | None = Field(
        default=None, description="directory of the local stack's programs; empty: .tools in the checkout"
    )

    def _disagreements(self) -> Iterator[str]:
        yield from super()._disagreements()
        for address in self.kafka_bootstrap.split(",") if self.kafka_bootstrap else ():
            if int(address.rpartition(":")[2]) > 65_535:
                yield f"WEIR_KAFKA_BOOTSTRAP has {address!r}; a port must be at most 65535"
        if self.database_url and (what := url_problem(self.database_url)):
            yield f"WEIR_DATABASE_URL {what}"
