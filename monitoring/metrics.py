"""Every metric that Almanac exports, defined in one place.

The server and the pipelines export them, alert rules and dashboards name them, and a test holds those against `ALL`.
Names follow the Prometheus conventions: prefix, base unit, `_total` on counters.
"""

from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from almanac.core.clocks import Clock

Kind = Literal["counter", "gauge", "histogram"]
# server: registered by every server process. process: read from the operating system at each scrape of the server.
# pipeline: written after a run; see monitoring.operations.push.
Origin = Literal["server", "process", "pipeline"]
# wall: seconds of the wall clock, as of Prometheus' `time()`. data: of the observations, which `time()` cannot be
# compared with: an archive's clock stands still.
# How the gauges of several worker processes are joined; see prometheus_client's multiprocess mode.
Join = Literal["livesum", "livemax", "livemin", "mostrecent"]

LATENCY_BUCKETS = (
    50e-6, 100e-6, 150e-6, 200e-6, 300e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
)  # fmt: skip
"""Seconds; a single row is answered in the first few."""
#: Newest observed values that the rolling metrics are computed from.
ROLLING_ROWS = 500


@dataclass(frozen=True)
class Metric:
    """Definition of one metric.

    Attributes:
        name: full name, as alert rules write it (counters with `_total`).
        kind: counter, gauge or histogram.
        help: one line with its unit.
        labels: label names, in order.
        join: how the gauges of several processes are joined.
        origin: its exporter.
        clock: the clock that a moment is of; None where the metric is none. Only those of the wall clock have an age.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    join: Join = "mostrecent"
    origin: Origin = "server"
    clock: Clock | None = None

    @property
    def series(self) -> tuple[str, ...]:
        """Names of the time series that a scrape shows."""
        if self.kind == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)


_MODEL = ("model", "version")

REQUESTS = Metric(
    "almanac_requests_total", "counter", "Requests answered.", ("model", "version", "protocol", "verb", "code")
)
LATENCY = Metric(
    "almanac_request_duration_seconds", "histogram", "Time from the last byte of a request to its answer.",
    ("model", "protocol", "verb"),
)  # fmt: skip
IN_FLIGHT = Metric("almanac_requests_in_flight", "gauge", "Requests being answered.", (), "livesum")
ROWS = Metric("almanac_predicted_rows_total", "counter", "Rows predicted.", _MODEL)
SIGNALS = Metric("almanac_predictions_total", "counter", "Predictions by decision signal.", (*_MODEL, "signal"))
OUT_OF_RANGE = Metric(
    "almanac_out_of_range_total", "counter", "Input values beyond the range seen in training.", ("model", "feature")
)
CACHE = Metric("almanac_cache_requests_total", "counter", "Prediction cache look-ups by result.", ("result",))
CACHE_SIZE = Metric("almanac_cache_entries", "gauge", "Predictions held in the cache.", (), "livesum")
UNAUTHENTICATED = Metric("almanac_unauthenticated_total", "counter", "Requests refused for their key.", ("reason",))
RATE_LIMITED = Metric(
    "almanac_rate_limited_total", "counter", "Requests refused by the rate limit of a key or of an address.", ("of",)
)
STORE_LATENCY = Metric(
    "almanac_feature_store_duration_seconds", "histogram", "Time of a feature store operation.", ("store", "operation")
)
STORE_ERRORS = Metric("almanac_feature_store_errors_total", "counter", "Failed feature store operations.", ("store",))
REDIS_AVAILABLE = Metric(
    "almanac_redis_available", "gauge",
    "1 while Redis answers, 0 while it is not asked: features then have no history, and limits are each process's own.",
    ("use",), "livemin",
)  # fmt: skip
INGESTED = Metric(
    "almanac_ingested_rows_total", "counter", "Observations appended to the feature store.", ("use_case",)
)
DATA_AGE = Metric(
    "almanac_data_age_seconds",
    "gauge",
    "How far the newest observation lies behind the data's clock, at the time of the scrape.",
    ("model",),
)
DATA_NEWEST = Metric(
    "almanac_data_newest_timestamp_seconds", "gauge",
    "Time of the newest observation in the feature store, by the data's clock.", ("model",), clock="data",
)  # fmt: skip
MODEL_INFO = Metric(
    "almanac_model_info", "gauge", "1 for each loaded model.",
    ("model", "version", "digest", "use_case", "target", "role"), "livemax",
)  # fmt: skip
MODEL_LOADED = Metric(
    "almanac_model_loaded_timestamp_seconds", "gauge", "When the model was loaded.", ("model",), clock="wall"
)
USE_CASE_READY = Metric(
    "almanac_use_case_ready",
    "gauge",
    "1 while the use case's model is loaded, 0 while it is not.",
    ("use_case",),
    "livemin",
)
MODEL_SWAPS = Metric("almanac_model_swaps_total", "counter", "Hot swaps by result.", ("result",))
_CANARY = ("use_case", "version")
CANARY_SHARE = Metric(
    "almanac_canary_share_ratio", "gauge", "Share of the requests that the new version gets.", _CANARY
)
CANARY_STATE = Metric(
    "almanac_canary_state", "gauge", "1 for the state of the newest canary, 0 for the others.", (*_CANARY, "state")
)
CANARY_EXCESS = Metric(
    "almanac_canary_excess", "gauge",
    "Confidence sequence of what a measure of the new version has beyond its bound: fails above 0, passes below.",
    (*_CANARY, "measure", "end"),
)  # fmt: skip
READY = Metric("almanac_ready", "gauge", "1 while the server accepts traffic.", (), "livemin")
SHADOW_DIFFERENCE = Metric(
    "almanac_shadow_absolute_difference", "histogram", "Absolute difference of shadow and served prediction.",
    ("model", "shadow_version"),
)  # fmt: skip
SHADOW_ERRORS = Metric(
    "almanac_shadow_errors_total", "counter", "Requests that the shadow version could not compute.",
    ("model", "shadow_version"),
)  # fmt: skip
FEEDBACK = Metric("almanac_feedback_total", "counter", "Observed values posted for predictions.", _MODEL)
ROLLING_MAE = Metric("almanac_rolling_mae", "gauge", "Mean absolute error of the newest feedback.", _MODEL)
ROLLING_RMSE = Metric("almanac_rolling_rmse", "gauge", "Root mean squared error of the newest feedback.", _MODEL)
ROLLING_BIAS = Metric("almanac_rolling_bias", "gauge", "Mean error of the newest feedback.", _MODEL)
ROLLING_COVERAGE = Metric(
    "almanac_rolling_coverage_ratio", "gauge", "Share of the newest feedback inside the interval.", _MODEL
)
DRIFT_KS = Metric("almanac_drift_ks", "gauge", "Kolmogorov-Smirnov distance of the live window.", ("model", "feature"))
DRIFT_MISSING = Metric(
    "almanac_drift_missing_ratio", "gauge", "Share of missing values in the live window.", ("model", "feature")
)
DRIFT_DRIFTED = Metric(
    "almanac_drift_drifted", "gauge", "1 where the column has drifted, judged with all columns together.",
    ("model", "feature"),
)  # fmt: skip
DRIFT_PSI = Metric("almanac_drift_psi", "gauge", "Population stability index of the live window.", ("model", "feature"))
DRIFT_SCORE = Metric(
    "almanac_drift_score", "gauge", "Largest drift statistic over its calibrated threshold.",
    ("model", "feature"),
)  # fmt: skip
DRIFT_ROWS = Metric("almanac_drift_window_rows", "gauge", "Rows in the live drift window.", ("model",))
NATIVE_LIBRARY = Metric(
    "almanac_native_library", "gauge", "1 where the compiled library runs, 0 where slower code replaces it.",
    ("library",), "livemin",
)  # fmt: skip
CLOCK_STEPS = Metric(
    "almanac_clock_steps_total", "counter", "Jumps of the wall clock by more than a second, by process.", ("direction",)
)
LOG_FAILING = Metric(
    "almanac_log_failing", "gauge", "1 while a log cannot be written, by log; its lines wait.", ("log",), "livemax"
)
LOG_DROPPED = Metric("almanac_log_dropped_total", "counter", "Log or audit lines dropped, by log.", ("log",))


def _of_process(name: str, kind: Kind, help_text: str) -> Metric:
    return Metric(name, kind, help_text, origin="process")


WORKER_STARTS = Metric(
    "almanac_worker_starts_total", "counter",
    "Workers started: at the start, for one that ended, and to replace them one by one (roll).",
    ("reason",), origin="process",
)  # fmt: skip
PROCESSES = _of_process("almanac_processes", "gauge", "Server processes.")
RESIDENT_MEMORY = _of_process("almanac_resident_memory_bytes", "gauge", "Resident memory of the server processes.")
CPU_SECONDS = _of_process("almanac_cpu_seconds_total", "counter", "Processor time of the server processes.")
OPEN_FILES = _of_process("almanac_open_files", "gauge", "Open file descriptors of the server processes.")


def _of_pipeline(name: str, help_text: str, *labels: str, clock: Clock | None = None) -> Metric:
    return Metric(name, "gauge", help_text, ("use_case", *labels), origin="pipeline", clock=clock)


TEST_RMSE = _of_pipeline("almanac_model_test_rmse", "Root mean squared error on the test span.", *_MODEL)
TEST_MAE = _of_pipeline("almanac_model_test_mae", "Mean absolute error on the test span.", *_MODEL)
TEST_COVERAGE = _of_pipeline("almanac_model_test_coverage_ratio", "Interval coverage on the test span.", *_MODEL)
NOMINAL_COVERAGE = _of_pipeline(
    "almanac_model_nominal_coverage_ratio", "Coverage that the model's intervals promise.", *_MODEL
)
ROLLING_RMSE_LIMIT = _of_pipeline(
    "almanac_model_rolling_rmse_limit", "Rolling root mean squared error beyond what this season explains.", *_MODEL
)
ROLLING_COVERAGE_LIMIT = _of_pipeline(
    "almanac_model_rolling_coverage_limit_ratio", "Rolling coverage below what this season explains.", *_MODEL
)
WINDOW_RMSE_LIMIT = _of_pipeline(
    "almanac_model_window_rmse_limit", "Root mean squared error of a window beyond what this season explains.", *_MODEL
)
TRAINED = _of_pipeline("almanac_model_trained_timestamp_seconds", "When the model was trained.", *_MODEL, clock="wall")
DATA_INTERVAL = _of_pipeline("almanac_data_interval_seconds", "Time between two observations of a series.", "model")
WINDOW_ROWS = _of_pipeline("almanac_window_rows", "Predictions of the newest window whose truth is known.", "model")
WINDOW_RMSE = _of_pipeline("almanac_window_rmse", "Root mean squared error in the newest window.", "model")
WINDOW_MAE = _of_pipeline("almanac_window_mae", "Mean absolute error in the newest window.", "model")
WINDOW_BIAS = _of_pipeline("almanac_window_bias", "Mean of prediction minus truth in the newest window.", "model")
WINDOW_COVERAGE = _of_pipeline(
    "almanac_window_coverage_ratio", "Share of the newest window inside the interval.", "model"
)
_BAND = ("model", "band")
WINDOW_BAND_ROWS = _of_pipeline(
    "almanac_window_band_rows", "Predictions of the newest window by band of the last value, or its absence.", *_BAND
)
WINDOW_BAND_RMSE = _of_pipeline(
    "almanac_window_band_rmse", "Root mean squared error in the newest window by band of the last value.", *_BAND
)
WINDOW_BAND_BIAS = _of_pipeline(
    "almanac_window_band_bias", "Mean of prediction minus truth in the newest window by band of the last value.", *_BAND
)
WINDOW_BAND_COVERAGE = _of_pipeline(
    "almanac_window_band_coverage_ratio", "Share of each band of the last value inside the interval.", *_BAND
)
WINDOW_ESTIMATED_MAE = _of_pipeline(
    "almanac_window_estimated_mae", "Mean absolute error to be expected in the newest window.", "model"
)
WINDOW_DRIFTED = _of_pipeline("almanac_window_drifted", "1 where the newest window has drifted.")
WINDOW_DRIFTED_FEATURES = _of_pipeline("almanac_window_drifted_features", "Drifted columns of the newest window.")
WINDOW_DRIFT_SCORE = _of_pipeline(
    "almanac_window_drift_score", "Largest drift statistic of the newest window over its threshold.", "feature"
)
WINDOW_OUTPUT_DRIFT_SCORE = _of_pipeline(
    "almanac_window_output_drift_score",
    "Largest drift statistic of a target, prediction, residual or importance over its threshold.",
    "model", "output",
)  # fmt: skip
WINDOW_OUTPUT_DRIFTED = _of_pipeline(
    "almanac_window_output_drifted", "1 where a target, prediction, residual or importance has drifted.",
    "model", "output",
)  # fmt: skip
WINDOW_IMPORTANCE_AGREEMENT = _of_pipeline(
    "almanac_window_importance_ndcg_ratio", "Agreement of the importances with those of training, nDCG.", "model"
)
WINDOW_NEWEST = _of_pipeline(
    "almanac_window_data_newest_timestamp_seconds", "Newest observation of the newest window, by the data's clock.",
    clock="data",
)  # fmt: skip
MONITORED = _of_pipeline("almanac_monitor_timestamp_seconds", "When the newest window was compared.", clock="wall")

#: Every metric.
ALL: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

_DIFFERENCE_BUCKETS = (0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


class Metrics:
    """The metrics, registered: `metrics.counter(REQUESTS)` and so on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        mine = [metric for metric in ALL if metric.origin == "server"]
        self._counters = {m.name: self._make_counter(m) for m in mine if m.kind == "counter"}
        self._gauges = {m.name: self._make_gauge(m) for m in mine if m.kind == "gauge"}
        self._histograms = {m.name: self._make_histogram(m) for m in mine if m.kind == "histogram"}

    def counter(self, metric: Metric) -> Counter:
        """Return the counter of this definition."""
        return self._counters[metric.name]

    def gauge(self, metric: Metric) -> Gauge:
        """Return the gauge of this definition."""
        return self._gauges[metric.name]

    def histogram(self, metric: Metric) -> Histogram:
        """Return the histogram of this definition."""
        return self._histograms[metric.name]

    def _make_counter(self, metric: Metric) -> Counter:
        return Counter(metric.name.removesuffix("_total"), metric.help, metric.labels, registry=self.registry)

    def _make_gauge(self, metric: Metric) -> Gauge:
        return Gauge(metric.name, metric.help, metric.labels, registry=self.registry, multiprocess_mode=metric.join)

    def _make_histogram(self, metric: Metric) -> Histogram:
        buckets = _DIFFERENCE_BUCKETS if metric is SHADOW_DIFFERENCE else LATENCY_BUCKETS
        return Histogram(metric.name, metric.help, metric.labels, registry=self.registry, buckets=buckets)
