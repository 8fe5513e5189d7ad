"""Dashboards of the service: API, cache and feature store, resources."""

from monitoring.operations.dashboards.panels import Board, Panel, age, newest, rate

_ASKED = 'verb=~"predict|infer|explain|ingest|feedback"'
_LATENCY = "almanac_request_duration_seconds"

API = Board(
    "api",
    "API",
    "Requests, errors and latency, as clients see them.",
    {
        "Objective": [
            Panel(
                "Ready", {"servers": "sum(almanac_ready)"}, help="Servers that take traffic.", kind="stat", bad_below=1
            ),
            Panel("Requests", {"all": "sum(almanac:requests:rate5m)"}, "reqps", kind="stat"),
            Panel(
                "Errors of the last hour",
                {"{{job}}": "almanac:request_errors:ratio1h"},
                "percentunit",
                "Share of the requests that the server failed to answer; the objective is 0.1 %.",
                "stat",
                0.001,
            ),
            Panel(
                "Error budget spent in 3 days",
                {"{{job}}": "almanac:request_errors:ratio3d / 0.001 * 0.1"},
                "percentunit",
                "Share of the budget of 30 days.",
                "stat",
                0.1,
            ),
        ],
        "Traffic": [
            Panel(
                "Requests by verb",
                {"{{protocol}} {{verb}}": f"sum by (protocol, verb) (rate(almanac_requests_total{{{_ASKED}}}[5m]))"},
                "reqps",
            ),
            Panel(
                "Answers by code",
                {"{{code}}": f"sum by (code) (rate(almanac_requests_total{{{_ASKED}}}[5m]))"},
                "reqps",
            ),
            Panel("Rows predicted", rate("almanac_predicted_rows_total", "model", "version"), "rowsps"),
            Panel("Requests in flight", {"{{instance}}": "almanac_requests_in_flight"}),
        ],
        "Errors": [
            Panel(
                "Burn rate of the error budget",
                {
                    "5m": "almanac:request_errors:ratio5m / 0.001",
                    "1h": "almanac:request_errors:ratio1h / 0.001",
                    "6h": "almanac:request_errors:ratio6h / 0.001",
                },
                help="1 spends the budget of 30 days in 30 days; 14.4 and 6 page.",
                bad_above=1,
            ),
            Panel(
                "Refused",
                rate("almanac_rate_limited_total", "of", prefix="rate limit of")
                | rate("almanac_unauthenticated_total", "reason", prefix="key"),
                "reqps",
                "Requests above a rate limit, or without a valid key.",
            ),
        ],
        "Latency": [
            Panel(
                "Predictions",
                {
                    "p50 {{model}}": "almanac:request_duration_seconds:p50_5m",
                    "p99 {{model}}": "almanac:request_duration_seconds:p99_5m",
                },
                "s",
                "From the last byte of the request to the answer.",
                bad_above=0.1,
            ),
            Panel(
                "p99 by verb",
                {"{{verb}}": f"histogram_quantile(0.99, sum by (verb, le) (rate({_LATENCY}_bucket[5m])))"},
                "s",
            ),
        ],
    },
    without_model=True,
)

STORE = Board(
    "store",
    "Cache and feature store",
    "What spares work, and what requests by entity wait for.",
    {
        "Prediction cache": [
            Panel("Hits", {"{{job}}": "almanac:cache_hits:ratio30m"}, "percentunit", "Share of the look-ups.", "stat"),
            Panel("Entries", {"{{instance}}": "almanac_cache_entries"}, kind="stat"),
            Panel("Look-ups", rate("almanac_cache_requests_total", "result"), "ops"),
        ],
        "Feature store": [
            Panel(
                "p99 of an operation",
                {"{{store}} {{operation}}": "almanac:feature_store_duration_seconds:p99_5m"},
                "s",
                bad_above=0.025,
            ),
            Panel("Operations", rate("almanac_feature_store_duration_seconds_count", "store", "operation"), "ops"),
            Panel(
                "Mean of an operation",
                {
                    "{{store}} {{operation}}": "sum by (store, operation) "
                    "(rate(almanac_feature_store_duration_seconds_sum[5m]))"
                    " / (sum by (store, operation) (rate(almanac_feature_store_duration_seconds_count[5m])) > 0)"
                },
                "s",
            ),
            Panel("Failed operations", rate("almanac_feature_store_errors_total", "store"), "ops", bad_above=0.01),
        ],
        "Data": [
            Panel("Observations taken in", rate("almanac_ingested_rows_total", "use_case"), "rowsps"),
            Panel(
                "Lag of the data",
                newest("almanac_data_age_seconds", "model"),
                "s",
                "How far the newest observation lies behind the clock.",
            ),
            Panel(
                "Newest observation",
                {"{{model}}": "1000 * max by (model) (almanac_data_newest_timestamp_seconds)"},
                "dateTimeAsIso",
                "Time of the newest observation in the feature store.",
            ),
        ],
    },
    without_model=True,
)

RESOURCES = Board(
    "resources",
    "Resources",
    "Processes, memory, processor, logs and model versions.",
    {
        "Processes": [
            Panel("Processes", {"{{instance}}": "almanac_processes"}, kind="stat"),
            Panel("Up", {"{{instance}}": 'up{job="almanac-server"}'}, kind="stat", bad_below=1),
            Panel("Model loaded", age("almanac_model_loaded_timestamp_seconds", "model"), "s", "How long ago.", "stat"),
            Panel(
                "Failed swaps in a day",
                {"failed": 'sum(increase(almanac_model_swaps_total{result="failed"}[1d])) or vector(0)'},
                kind="stat",
                bad_above=1,
            ),
            Panel("Resident memory", {"{{instance}}": "almanac_resident_memory_bytes"}, "bytes"),
            Panel("Processor", {"{{instance}}": "rate(almanac_cpu_seconds_total[5m])"}, "short", "Cores in use."),
            Panel("Open files", {"{{instance}}": "almanac_open_files"}),
            Panel(
                "Processor time of a request",
                {
                    "{{instance}}": "sum by (instance) (rate(almanac_cpu_seconds_total[5m]))"
                    " / (sum by (instance) (rate(almanac_requests_total[5m])) > 0)"
                },
                "s",
                # A process has no time of each model.
                variables=False,
            ),
        ],
        "Models and logs": [
            Panel(
                "Workers started",
                {"{{reason}}": "sum by (reason) (increase(almanac_worker_starts_total[5m])) or vector(0)"},
                help="start: with the server; ended: for one that ended; roll: to replace them one by one.",
            ),
            Panel(
                "Jumps of the clock",
                {"{{direction}}": "sum by (direction) (increase(almanac_clock_steps_total[5m])) or vector(0)"},
                help="The wall clock, by which keys expire and logs are dated.",
                bad_above=0.5,
            ),
            Panel(
                "Loaded versions",
                {"{{model}} {{version}} {{role}}": "max by (model, version, role) (almanac_model_info) == 1"},
            ),
            Panel(
                "Use cases loaded",
                {"{{use_case}}": "min by (use_case) (almanac_use_case_ready)"},
                help="0 while its model is not loaded: it failed, or gave way to others within the memory budget.",
                bad_below=1,
            ),
            Panel(
                "Logs that cannot be written",
                {"{{log}}": "max by (log) (almanac_log_failing) or vector(0)"},
                help="1 while the lines of a log wait for a disk.",
                bad_above=0.5,
            ),
            Panel(
                "Log lines dropped",
                {"{{log}}": "sum by (log) (rate(almanac_log_dropped_total[5m])) or vector(0)"},
                "ops",
                bad_above=0.01,
            ),
            Panel(
                "Notifications not delivered in a day",
                {"failed": "sum(increase(alertmanager_notifications_failed_total[1d])) or vector(0)"},
                help="By Alertmanager; `almanac notifications` names what is missing.",
                kind="stat",
                bad_above=1,
            ),
        ],
    },
    without_model=True,
)
