"""Settings of the server, which are the options of its command line as well."""

import math
import os
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Option

from almanac.core.errors import ServingError
from serving.prediction.canary import CanaryBounds
from serving.runtime.redaction import redacted
from serving.runtime.redis_client import SCHEMES
from serving.runtime.sizes import parse_size
from serving.security.limits import parse_rates
from serving.transport.fast_path import LONGEST_HEAD

#: Options whose value may be an address with a password, and their variables.
_VARIABLES = {
    "--model": "ALMANAC_MODEL",
    "--second": "ALMANAC_SECOND",
    "--feature-store": "ALMANAC_FEATURE_STORE",
    "--rate-limit-store": "ALMANAC_RATE_LIMIT_STORE",
    "--prediction-log": "ALMANAC_PREDICTION_LOG",
}
_MODEL = "registry:<use case>/<stage>, a directory or a URL"


def _option(help: str, *names: str, env: str | None = None, **more: Any) -> Any:
    """Return an option; its name is the field's by default."""
    return Option(*names, envvar=f"ALMANAC_{env}" if env else None, help=help, **more)


@dataclass(frozen=True)
class Settings:
    """Settings of a server process; each field is an option of `serve`."""

    # `--model-dir` and `--model-name` are options that KServe's runtimes pass.
    model: Annotated[
        list[str] | None,
        _option(f"{_MODEL}; repeatable, by default the lines of ALMANAC_MODEL.", "--model", "--model-dir"),
    ] = None
    pin: Annotated[
        list[str] | None, _option("Use case that --memory-budget never puts out; repeatable.", metavar="USECASE")
    ] = None
    memory_budget: Annotated[
        str | None, _option("Memory that the models may take together, such as 256Mi or 2Gi.", env="MEMORY_BUDGET")
    ] = None
    model_name: Annotated[str | None, _option("Further name for the use case's model, as KServe passes it.")] = None
    model_version: Annotated[
        str | None, _option("Version in a directory or URL; its digest's first digits by default.", env="MODEL_VERSION")
    ] = None
    trusted_key: Annotated[
        Path | None, _option("Public key that must have signed the model.", env="TRUSTED_KEY", metavar="PEM")
    ] = None
    allow_rejected: Annotated[bool, _option("Serve a version that was rejected, by its number.")] = False
    host: Annotated[str, _option("Address to listen on.", env="HOST")] = "127.0.0.1"
    http_port: Annotated[int, _option("0 picks a free one.")] = 8080
    grpc_port: Annotated[int | None, _option("Serve gRPC too; 0 picks a free port.")] = None
    workers: Annotated[int, _option("Server processes.")] = 1
    feature_store: Annotated[
        str, _option("memory://, sqlite:///path or redis://host:port/db.", env="FEATURE_STORE")
    ] = "memory://"
    store_entities: Annotated[int, _option("Most entities that clients can add to the feature store.")] = 10_000
    store_bytes: Annotated[int, _option("Most bytes of a feature store in memory.")] = 64 << 20
    history: Annotated[
        str | None, _option("Parquet file to fill the feature store from; {use_case} stands for its name.")
    ] = None
    auth: Annotated[Literal["required", "optional", "off"], _option("API keys.", env="AUTH")] = "off"
    keys: Annotated[Path, _option("File of API keys.", env="KEYS")] = Path(".almanac/keys.json")
    rate_limit: Annotated[
        str | None,
        _option(
            "For each key or client, such as 100/s, 600/m or 10000/h; 100/s,air=20/s adds one for a use case.",
            env="RATE_LIMIT",
        ),
    ] = None
    rate_limit_store: Annotated[str, _option("memory:// or redis://host:port/db.", env="RATE_LIMIT_STORE")] = (
        "memory://"
    )
    cors: Annotated[list[str] | None, _option("Origin that browsers may call from; repeatable.", metavar="ORIGIN")] = (
        None
    )
    allowed_host: Annotated[
        list[str] | None,
        _option(
            "Name under which it is called; repeatable. On a loopback address that of this machine.", metavar="HOST"
        ),
    ] = None
    max_head: Annotated[int, _option("Largest head of a request in bytes.")] = 64 << 10
    head_seconds: Annotated[float, _option("How long a client may take to send a head.")] = 10.0
    max_body: Annotated[int, _option("Largest request body in bytes.")] = 16 << 20
    max_rows: Annotated[int, _option("Most rows of a request.")] = 10_000
    max_values: Annotated[int, _option("Most values of a JSON body.")] = 1_000_000
    max_answer: Annotated[int, _option("Largest answer in bytes.")] = 16 << 20
    max_message: Annotated[int, _option("Largest gRPC message in bytes.")] = 2 << 20
    max_in_flight: Annotated[int, _option("Bytes of requests and answers held at a time.")] = 64 << 20
    body_seconds: Annotated[float, _option("How long a client may take to send a body.")] = 10.0
    tls_cert: Annotated[Path | None, _option("PEM file of the certificate chain.")] = None
    tls_key: Annotated[Path | None, _option("PEM file of its private key.")] = None
    audit_log: Annotated[Path | None, _option("File for one JSON line a request.", env="AUDIT_LOG")] = None
    prediction_log: Annotated[
        str | None, _option("Directory, s3:// or gs:// for the log that monitoring reads.", env="PREDICTION_LOG")
    ] = None
    access_log: Annotated[Literal["all", "errors", "off"], _option("Requests to log.")] = "errors"
    cache_size: Annotated[int, _option("Cached predictions; 0 for none.")] = 4096
    out_of_range: Annotated[
        Literal["warn", "refuse"] | None, _option("For inputs beyond their range; as the model says by default.")
    ] = None
    threads: Annotated[int, _option("Threads for large requests.")] = 2
    second: Annotated[str | None, _option("A second version, as --model names it.", env="SECOND")] = None
    second_role: Annotated[Literal["split", "shadow"], _option("Use of the second version.")] = "split"
    second_share: Annotated[float, _option("Share of the requests that the second version gets.")] = 0.1
    canary: Annotated[
        str | None,
        _option(
            "Canary and its percentage of the requests, such as 3=5 or registry:demand/3=5.", metavar="VERSION=PERCENT"
        ),
    ] = None
    canary_number: Annotated[
        str | None, _option("Version of a canary in a directory or URL; its digest's first digits by default.")
    ] = None
    canary_state: Annotated[
        Path | None, _option("Directory in which a canary and its evidence outlive the server.")
    ] = None
    canary_error: Annotated[float, _option("How much larger its error may be, as a share.")] = 0.05
    canary_latency: Annotated[float, _option("How much longer its answers may take, as a share.")] = 0.25
    canary_failures: Annotated[float, _option("Share of its answers that may fail more often.")] = 0.01
    canary_alpha: Annotated[float, _option("Chance of a wrong verdict, however often it is looked at.")] = 0.05
    canary_advance: Annotated[
        int, _option("Differences in each measure after which it gets the next of 5, 25, 50, 100%; 0 for by order.")
    ] = 0
    poll_seconds: Annotated[float, _option("How often the registry is asked for a promoted version.")] = 5.0
    drain_seconds: Annotated[float, _option("How long requests are accepted after SIGTERM.", env="DRAIN_SECONDS")] = 0.0
    grace_seconds: Annotated[float, _option("How long requests may take to end after that.")] = 30.0
    drift_seconds: Annotated[float, _option("How often drift metrics are computed; 0 for never.")] = 15.0
    listen_fd: Annotated[int | None, _option("", hidden=True)] = None

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """Certificate chain and private key, or None."""
        return (self.tls_cert, self.tls_key) if self.tls_cert and self.tls_key else None

    @property
    def models(self) -> list[str]:
        """Addresses of the models."""
        return self.model or []

    @property
    def canary_bounds(self) -> CanaryBounds:
        """Bounds of a canary."""
        return CanaryBounds(
            self.canary_error, self.canary_latency, self.canary_failures, self.canary_alpha, self.canary_advance
        )

    @property
    def canary_version(self) -> tuple[str, float] | None:
        """Version or address of the canary and its percentage, or None.

        Raises:
            ServingError: `--canary` has another form.
        """
        if self.canary is None:
            return None
        version, _, percent = self.canary.rpartition("=")
        try:
            share = float(percent)
        except ValueError:
            share = math.nan
        if not version or not 0 < share <= 100:
            raise ServingError(f"--canary {self.canary}: write VERSION=PERCENT, such as 3=5")
        return version, share

    @property
    def budget(self) -> int | None:
        """Bytes that the models may take together, or None."""
        return parse_size("--memory-budget", self.memory_budget) if self.memory_budget else None

    def arguments(self) -> list[str]:
        """Return the command line arguments of these settings, but those that `environment` has."""
        # All of them, also the defaults: what a child process gets is complete.
        values = ((f"--{one.name.replace('_', '-')}", getattr(self, one.name)) for one in fields(self))
        return [
            text
            for option, value in values
            if option not in _VARIABLES
            for item in (value if isinstance(value, list) else [value])
            if item is not None
            for text in _argument(option, item)
        ]

    def environment(self) -> dict[str, str]:
        """Return the environment of a child process, with the settings that may hold a password.

        Everybody on the machine may read the command line of a process, and its owner alone the environment.
        """
        environment = dict(os.environ)
        for option, variable in _VARIABLES.items():
            value = getattr(self, option.removeprefix("--").replace("-", "_"))
            if value is None:
                environment.pop(variable, None)
            else:
                environment[variable] = "\n".join(value) if isinstance(value, list) else str(value)
        return environment

    def check(self) -> None:
        """Check the settings for values that cannot work.

        Raises:
            ServingError: naming the option and what is expected.
        """
        # Checked here and not by typer, whose message would not name the forms.
        self._check_models()
        self._check_second()
        self._check_sizes()
        self._check_files()
        self._check_stores()

    def _check_models(self) -> None:
        if not self.model:
            raise ServingError(f"--model is missing: {_MODEL}")
        if twice := [address for address, count in Counter(self.model).items() if count > 1]:
            raise ServingError(f"--model {twice[0]}: given twice")
        if len(self.model) > 1:
            # Each of these belongs to one model, and which one would be a guess.
            for option, text in (("model-name", self.model_name), ("model-version", self.model_version)):
                if text is not None:
                    raise ServingError(f"--{option} {text}: for a server with one --model")
            if self.history is not None and "{use_case}" not in self.history:
                raise ServingError(f"--history {self.history}: with several models write {{use_case}} for their names")
        _ = self.budget

    def _check_second(self) -> None:
        if self.canary_version is not None and self.second:
            raise ServingError(f"--canary {self.canary}: without --second")
        for name, most in (("error", 10), ("latency", 10), ("failures", 1), ("alpha", 1)):
            value = getattr(self, f"canary_{name}")
            if not 0 < value < most:
                raise ServingError(f"--canary-{name} {value}: above 0, below {most}")
        if not 0 <= self.second_share <= 1:
            raise ServingError(f"--second-share {self.second_share}: between 0 and 1")

    def _check_sizes(self) -> None:
        if self.workers < 1:
            raise ServingError(f"--workers {self.workers}: at least 1")
        # The fast path takes heads up to this length and does not ask for the limit.
        if self.max_head < LONGEST_HEAD:
            raise ServingError(f"--max-head {self.max_head}: at least {LONGEST_HEAD}")
        for name, size in (
            ("--max-body", self.max_body),
            ("--max-message", self.max_message),
            ("--max-answer", self.max_answer),
        ):
            if not 0 < size <= self.max_in_flight:
                raise ServingError(f"{name} {size}: between 1 and --max-in-flight, which is {self.max_in_flight}")
        for name, count in (("--max-rows", self.max_rows), ("--max-values", self.max_values)):
            if count < 1:
                raise ServingError(f"{name} {count}: at least 1")
        for name, port in (("--http-port", self.http_port), ("--grpc-port", self.grpc_port or 0)):
            if not 0 <= port < 65536:
                raise ServingError(f"{name} {port}: between 0 and 65535")

    def _check_files(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ServingError("--tls-cert and --tls-key belong together")
        for path in self.tls or ():
            if not path.is_file():
                raise ServingError(f"{path}: no such file; --tls-cert and --tls-key take PEM files")
        if self.trusted_key is not None and not self.trusted_key.is_file():
            raise ServingError(f"--trusted-key {self.trusted_key}: no such file; it takes a PEM public key")

    def _check_stores(self) -> None:
        # Observations would reach one worker, and requests another.
        if self.feature_store == "memory://" and self.workers > 1:
            raise ServingError("--workers above 1 needs a feature store that they share: sqlite:///… or redis://…")
        if self.rate_limit is not None:
            parse_rates(self.rate_limit)
        scheme, separator, _ = self.rate_limit_store.partition("://")
        if self.rate_limit_store != "memory://" and (scheme not in SCHEMES or not separator):
            shown = redacted(self.rate_limit_store)
            raise ServingError(f"--rate-limit-store {shown}: memory:// or redis://host:port/db")
        for name, value in (("--store-entities", self.store_entities), ("--store-bytes", self.store_bytes)):
            if value < 1:
                raise ServingError(f"{name} {value}: at least 1")


def _argument(option: str, value: Any) -> list[str]:
    # A flag has no value, but a form that turns it off.
    return [option if value else f"--no-{option[2:]}"] if isinstance(value, bool) else [option, str(value)]
