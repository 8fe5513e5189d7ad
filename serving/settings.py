"""Settings of the server, which are the options of its command line as well."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from typer import Option

from almanac.core.errors import ServingError
from serving.security.limits import parse_rate
from serving.transport.fast_path import LONGEST_HEAD

_MODEL = "registry:<use case>/<stage>, a directory or a URL"


@dataclass(frozen=True)
class Settings:
    """Settings of a server process; each field is an option of `serve`.

    KServe's runtimes write some options with underscores, and the model as `--model_dir`.
    """

    model: Annotated[
        str, Option("--model", "--model-dir", "--model_dir", envvar="ALMANAC_MODEL", help=_MODEL, show_default=False)
    ] = ""
    model_name: Annotated[
        str | None,
        Option("--model-name", "--model_name", help="Further name for the use case's model, as KServe passes it."),
    ] = None
    model_version: Annotated[
        str | None,
        Option(
            "--model-version", "--model_version", envvar="ALMANAC_MODEL_VERSION",
            help="Version in a model directory or URL; the first digits of its digest by default.",
        ),
    ] = None  # fmt: skip
    trusted_key: Annotated[
        Path | None,
        Option(envvar="ALMANAC_TRUSTED_KEY", metavar="PEM", help="Public key that must have signed the model."),
    ] = None
    host: Annotated[str, Option(envvar="ALMANAC_HOST", help="Address to listen on.")] = "127.0.0.1"
    http_port: Annotated[int, Option("--http-port", "--http_port", help="0 picks a free one.")] = 8080
    grpc_port: Annotated[
        int | None, Option("--grpc-port", "--grpc_port", help="Serve gRPC too; 0 picks a free port.")
    ] = None
    workers: Annotated[int, Option(help="Server processes.")] = 1
    feature_store: Annotated[
        str, Option(envvar="ALMANAC_FEATURE_STORE", help="memory://, sqlite:///path or redis://host:port/db.")
    ] = "memory://"
    history: Annotated[
        str | None, Option(help="Parquet file whose newest rows are loaded into the feature store at the start.")
    ] = None
    auth: Annotated[Literal["required", "optional", "off"], Option(envvar="ALMANAC_AUTH", help="API keys.")] = "off"
    keys: Annotated[Path, Option(envvar="ALMANAC_KEYS", help="File of API keys.")] = Path(".almanac/keys.json")
    rate_limit: Annotated[
        str | None,
        Option(envvar="ALMANAC_RATE_LIMIT", help="For each key or client, such as 100/s, 600/m or 10000/h."),
    ] = None
    rate_limit_store: Annotated[
        str, Option(envvar="ALMANAC_RATE_LIMIT_STORE", help="memory:// or redis://host:port/db.")
    ] = "memory://"
    cors: Annotated[
        list[str] | None, Option(metavar="ORIGIN", help="Origin that browsers may call from; repeatable.")
    ] = None
    max_head: Annotated[int, Option(help="Largest head of a request in bytes.")] = 64 << 10
    head_seconds: Annotated[float, Option(help="How long a client may take to send a head.")] = 10.0
    max_body: Annotated[int, Option(help="Largest request body in bytes.")] = 16 << 20
    body_seconds: Annotated[float, Option(help="How long a client may take to send a body.")] = 10.0
    tls_cert: Annotated[Path | None, Option(help="PEM file of the certificate chain.")] = None
    tls_key: Annotated[Path | None, Option(help="PEM file of its private key.")] = None
    audit_log: Annotated[
        Path | None, Option(envvar="ALMANAC_AUDIT_LOG", help="File that a JSON line is appended to for each request.")
    ] = None
    prediction_log: Annotated[
        str | None,
        Option(
            envvar="ALMANAC_PREDICTION_LOG", metavar="DIRECTORY",
            help="Directory, s3:// or gs:// for the prediction log that monitoring reads.",
        ),
    ] = None  # fmt: skip
    access_log: Annotated[Literal["all", "errors", "off"], Option(help="Requests to log.")] = "errors"
    cache_size: Annotated[int, Option(help="Cached predictions; 0 for none.")] = 4096
    out_of_range: Annotated[
        Literal["warn", "refuse"] | None,
        Option(help="For inputs beyond their declared range; as the model says by default."),
    ] = None
    threads: Annotated[int, Option(help="Threads for large requests.")] = 2
    second: Annotated[
        str | None, Option(help="A second version, as --model names it, for split or shadow traffic.")
    ] = None
    second_role: Annotated[Literal["split", "shadow"], Option(help="Use of the second version.")] = "split"
    second_share: Annotated[float, Option(help="Share of the requests that the second version gets.")] = 0.1
    poll_seconds: Annotated[float, Option(help="How often the registry is asked for a promoted version.")] = 5.0
    drain_seconds: Annotated[
        float,
        Option(envvar="ALMANAC_DRAIN_SECONDS", help="How long requests are still accepted after SIGTERM."),
    ] = 0.0
    grace_seconds: Annotated[float, Option(help="How long requests may take to end after that.")] = 30.0
    drift_seconds: Annotated[float, Option(help="How often drift metrics are computed; 0 for never.")] = 15.0
    listen_fd: Annotated[int | None, Option(hidden=True)] = None

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """Certificate chain and private key, or None."""
        return (self.tls_cert, self.tls_key) if self.tls_cert and self.tls_key else None

    def arguments(self) -> list[str]:
        """Return the command line arguments of these settings."""
        values = ((f"--{one.name.replace('_', '-')}", getattr(self, one.name)) for one in fields(self))
        return [
            text
            for option, value in values
            for item in (value if isinstance(value, list) else [value])
            if item is not None
            for text in (option, str(item))
        ]

    def check(self) -> None:
        """Check the settings for values that cannot work.

        Raises:
            ServingError: naming the option and what is expected.
        """
        if not self.model:
            raise ServingError(f"--model is missing: {_MODEL}")
        if self.workers < 1:
            raise ServingError(f"--workers {self.workers}: at least 1")
        if self.max_head < LONGEST_HEAD:
            raise ServingError(f"--max-head {self.max_head}: at least {LONGEST_HEAD}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ServingError("--tls-cert and --tls-key belong together")
        for path in self.tls or ():
            if not path.is_file():
                raise ServingError(f"{path}: no such file; --tls-cert and --tls-key take PEM files")
        if not 0 <= self.second_share <= 1:
            raise ServingError(f"--second-share {self.second_share}: between 0 and 1")
        if self.trusted_key is not None and not self.trusted_key.is_file():
            raise ServingError(f"--trusted-key {self.trusted_key}: no such file; it takes a PEM public key")
        if self.feature_store == "memory://" and self.workers > 1:
            raise ServingError("--workers above 1 needs a feature store that they share: sqlite:///… or redis://…")
        for name, port in (("--http-port", self.http_port), ("--grpc-port", self.grpc_port or 0)):
            if not 0 <= port < 65536:
                raise ServingError(f"{name} {port}: between 0 and 65535")
        if self.rate_limit is not None:
            parse_rate(self.rate_limit)
        if self.rate_limit_store != "memory://" and urlsplit(self.rate_limit_store).scheme not in ("redis", "rediss"):
            raise ServingError(f"--rate-limit-store {self.rate_limit_store}: memory:// or redis://host:port/db")
