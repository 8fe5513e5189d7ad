"""How the server runs, from the command line and the environment."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from almanac.core.errors import ServingError
from serving.security.limits import parse_rate
from serving.transport.fast_path import LONGEST_HEAD


@dataclass(frozen=True)
class Settings:
    """Settings of a server process; `python -m serving --help` describes them."""

    model: str
    model_name: str | None = None
    model_version: str | None = None
    trusted_key: Path | None = None
    host: str = "127.0.0.1"
    http_port: int = 8080
    grpc_port: int | None = None
    workers: int = 1
    feature_store: str = "memory://"
    history: str | None = None
    auth: Literal["required", "optional", "off"] = "off"
    keys: Path = Path(".almanac/keys.json")
    rate_limit: str | None = None
    rate_limit_store: str = "memory://"
    cors: tuple[str, ...] = ()
    max_head: int = 64 << 10
    head_seconds: float = 10.0
    max_body: int = 16 << 20
    body_seconds: float = 10.0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    audit_log: Path | None = None
    prediction_log: str | None = None
    access_log: Literal["all", "errors", "off"] = "errors"
    cache_size: int = 4096
    out_of_range: Literal["warn", "refuse"] | None = None
    threads: int = 2
    second: str | None = None
    second_role: Literal["split", "shadow"] = "split"
    second_share: float = 0.1
    poll_seconds: float = 5.0
    drain_seconds: float = 0.0
    grace_seconds: float = 30.0
    drift_seconds: float = 15.0
    listen_fd: int | None = None

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ServingError: naming the option, and what would be right.
        """
        if self.workers < 1:
            raise ServingError(f"--workers {self.workers}: at least 1")
        if self.max_head < LONGEST_HEAD:
            raise ServingError(f"--max-head {self.max_head}: at least {LONGEST_HEAD}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ServingError("--tls-cert and --tls-key belong together")
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the server's options to a parser."""
    d = Settings(model="")
    add = parser.add_argument
    add("--model", default=os.environ.get("ALMANAC_MODEL"), help="registry:<use case>/<stage>, a directory or a URL")
    add("--model-dir", "--model_dir", help="model directory, as KServe's runtimes pass it")
    add("--model-name", "--model_name", help="further name for the model of the use case, as KServe passes it")
    add("--model-version", "--model_version", default=os.environ.get("ALMANAC_MODEL_VERSION"),
        help="version that a model directory or URL holds; its digest's first digits by default")  # fmt: skip
    add("--trusted-key", type=Path, default=os.environ.get("ALMANAC_TRUSTED_KEY"), metavar="PEM",
        help="public key that must have signed the model")  # fmt: skip
    add("--host", default=os.environ.get("ALMANAC_HOST", d.host), help="address to listen on")
    add("--http-port", "--http_port", type=int, default=d.http_port, help="0 picks a free one")
    add("--grpc-port", "--grpc_port", type=int, help="serve gRPC too; 0 picks a free one")
    add("--workers", type=int, default=d.workers, help="server processes")
    add("--feature-store", default=os.environ.get("ALMANAC_FEATURE_STORE", d.feature_store),
        help="memory://, sqlite:///path or redis://host:port/db")  # fmt: skip
    add("--history", help="Parquet file whose newest rows the feature store has before the server is ready")
    add("--auth", choices=("required", "optional", "off"), default=os.environ.get("ALMANAC_AUTH", d.auth))
    add("--keys", type=Path, default=Path(os.environ.get("ALMANAC_KEYS", d.keys)), help="file of API keys")
    add(
        "--rate-limit",
        default=os.environ.get("ALMANAC_RATE_LIMIT"),
        help="for each key or client, such as 100/s, 600/m or 10000/h",
    )
    add("--rate-limit-store", default=os.environ.get("ALMANAC_RATE_LIMIT_STORE", d.rate_limit_store),
        help="memory:// or redis://host:port/db")  # fmt: skip
    add("--cors", action="append", default=[], metavar="ORIGIN", help="origin that browsers may call from")
    add("--max-head", type=int, default=d.max_head, help="largest head of a request in bytes")
    add("--head-seconds", type=float, default=d.head_seconds, help="how long a client may take to send a head")
    add("--max-body", type=int, default=d.max_body, help="largest request body in bytes")
    add("--body-seconds", type=float, default=d.body_seconds, help="how long a client may take to send its body")
    add("--tls-cert", type=Path, help="PEM file of the certificate chain")
    add("--tls-key", type=Path, help="PEM file of its private key")
    add(
        "--audit-log",
        type=Path,
        default=os.environ.get("ALMANAC_AUDIT_LOG"),
        help="file that one JSON line a request is appended to",
    )
    add("--prediction-log", metavar="DIRECTORY", default=os.environ.get("ALMANAC_PREDICTION_LOG"),
        help="directory, s3:// or gs:// where predictions are kept for monitoring")  # fmt: skip
    add("--access-log", choices=("all", "errors", "off"), default=d.access_log)
    add("--cache-size", type=int, default=d.cache_size, help="predictions kept; 0 for none")
    add(
        "--out-of-range", choices=("warn", "refuse"), help="for inputs beyond their range; as the model says by default"
    )
    add("--threads", type=int, default=d.threads, help="threads for large requests")
    add("--second", help="a further version, as --model names it, for split or shadow traffic")
    add("--second-role", choices=("split", "shadow"), default=d.second_role)
    add("--second-share", type=float, default=d.second_share, help="share of the requests that it sees")
    add("--poll-seconds", type=float, default=d.poll_seconds, help="how often a newly promoted version is looked for")
    add("--drain-seconds", type=float, default=float(os.environ.get("ALMANAC_DRAIN_SECONDS", d.drain_seconds)),
        help="how long the server still answers after it said that it is not ready")  # fmt: skip
    add("--grace-seconds", type=float, default=d.grace_seconds, help="how long requests may take to end after that")
    add("--drift-seconds", type=float, default=d.drift_seconds, help="how often drift figures are renewed; 0 for never")
    add("--listen-fd", type=int, help=argparse.SUPPRESS)


def from_arguments(given: argparse.Namespace) -> Settings:
    """Return the settings that the parsed options are.

    Raises:
        ServingError: options that cannot work.
    """
    values = {key: value for key, value in vars(given).items() if key in Settings.__dataclass_fields__}
    values["cors"] = tuple(given.cors)
    values["model"] = given.model or given.model_dir
    if not values["model"]:
        raise ServingError("--model is missing: registry:<use case>/<stage>, a directory or a URL")
    settings = Settings(**values)
    settings.check()
    return settings
