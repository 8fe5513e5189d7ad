"""Dashboards of the models: quality, drift, decisions and business metrics."""

from monitoring.operations.dashboards.panels import Board, Panel, age, highest, newest, rate

QUALITY = Board(
    "quality",
    "Model quality",
    "Error and coverage against what the same version reached on its test span, and what the season explains.",
    {
        "By observed values posted to the server": [
            Panel(
                "Error over its limit",
                {
                    "{{model}} {{version}}": "almanac:model_error:ratio_to_limit",
                    "over test error {{model}} {{version}}": "almanac:model_error:ratio_to_test",
                },
                "short",
                "Beyond 1 it is more than the season explains, and the alert begins. The error over that of the test "
                "span moves with the seasons.",
                bad_above=1.0,
            ),
            Panel(
                "Root mean squared error",
                newest("almanac_rolling_rmse", "model", "version")
                | newest("almanac_model_test_rmse", "model", "version", prefix="test"),
                help="In the unit of the target.",
            ),
            Panel(
                "Mean absolute error",
                newest("almanac_rolling_mae", "model", "version")
                | newest("almanac_model_test_mae", "model", "version", prefix="test"),
                help="In the unit of the target.",
            ),
            Panel("Bias", newest("almanac_rolling_bias", "model", "version"), help="Prediction minus truth."),
            Panel(
                "Coverage",
                {
                    "{{model}} {{version}}": "max by (model, version) (almanac_rolling_coverage_ratio)",
                    "promised {{model}}": "max by (model, version) (almanac_model_nominal_coverage_ratio)",
                    "test {{model}}": "max by (model, version) (almanac_model_test_coverage_ratio)",
                    "limit {{model}}": "max by (model, version) (almanac_model_rolling_coverage_limit_ratio)",
                },
                "percentunit",
                "Share of the observed values inside the interval.",
            ),
            Panel("Observed values in a day", {"{{model}} {{version}}": "almanac:feedback:increase1d"}),
        ],
        "By the monitoring pipeline": [
            Panel(
                "Error of the newest window",
                newest("almanac_window_rmse", "model", prefix="rmse")
                | newest("almanac_model_window_rmse_limit", "model", "version", prefix="rmse limit")
                | newest("almanac_window_estimated_mae", "model", prefix="expected mae")
                | newest("almanac_window_mae", "model", prefix="mae")
                | newest("almanac_window_bias", "model", prefix="bias"),
            ),
            Panel("Coverage of the newest window", newest("almanac_window_coverage_ratio", "model"), "percentunit"),
            Panel(
                "Error of the newest window by band of the last value",
                newest("almanac_window_band_rmse", "model", "band", prefix="rmse")
                | newest("almanac_window_band_bias", "model", "band", prefix="bias"),
                help="The band unknown has the forecasts that were made without a last value.",
            ),
            Panel(
                "Coverage of the newest window by band of the last value",
                newest("almanac_window_band_coverage_ratio", "model", "band"),
                "percentunit",
                "Uncertain where a band has few predictions; the next panel counts them.",
            ),
            Panel(
                "Predictions with known truth by band of the last value",
                newest("almanac_window_band_rows", "model", "band"),
            ),
            Panel("Predictions with known truth", newest("almanac_window_rows", "model"), kind="stat"),
            Panel(
                "Age of the model",
                age("almanac_model_trained_timestamp_seconds", "use_case"),
                "s",
                "A retraining is due each month.",
                "stat",
                35 * 86400,
            ),
        ],
        "Shadow": [
            Panel(
                "Mean difference of shadow and served prediction",
                {
                    "{{model}} {{shadow_version}}": "sum by (model, shadow_version) "
                    "(rate(almanac_shadow_absolute_difference_sum[5m]))"
                    " / (sum by (model, shadow_version) (rate(almanac_shadow_absolute_difference_count[5m])) > 0)"
                },
                help="In the unit of the target.",
            ),
            Panel(
                "Requests that the shadow could not compute",
                rate("almanac_shadow_errors_total", "model", "shadow_version"),
                "ops",
                "The server's log says why.",
            ),
        ],
        "Canary": [
            Panel(
                "Share of the new version",
                {"{{use_case}} {{version}}": "max by (use_case, version) (almanac_canary_share_ratio) or vector(0)"},
                "percentunit",
                "0 without a canary.",
            ),
            Panel(
                "State of the newest canary",
                {
                    "{{use_case}} {{version}} {{state}}": "max by (use_case, version, state) (almanac_canary_state)"
                    " == 1 or vector(0)"
                },
            ),
            Panel(
                "Beyond its bound",
                {
                    "{{version}} {{measure}} {{end}}": "max by (use_case, version, measure, end)"
                    " (almanac_canary_excess) or vector(0)"
                },
                help="Both ends of the confidence sequence of each measure: fails above 0, passes below.",
                bad_above=0,
            ),
        ],
    },
    "now-7d",
)

DRIFT = Board(
    "drift",
    "Drift",
    "The live window and the pipeline's windows against the reference that was frozen with the model.",
    {
        "Live window": [
            Panel("Drifted features", {"{{model}}": "almanac:drifted_features:count"}, kind="stat", bad_above=1),
            Panel("Rows in the window", newest("almanac_drift_window_rows", "model"), kind="stat"),
            Panel(
                "Highest statistic over its threshold",
                {"{{model}}": "almanac:drift_score:max"},
                help="1 is the threshold of one statistic by itself.",
            ),
            Panel("The ten highest features", highest("almanac_drift_score", "model", "feature")),
            Panel("Population stability index", highest("almanac_drift_psi", "model", "feature")),
            Panel("Kolmogorov-Smirnov distance", highest("almanac_drift_ks", "model", "feature")),
            Panel("Missing values", highest("almanac_drift_missing_ratio", "model", "feature"), "percentunit"),
            Panel(
                "Values beyond the training range",
                {"{{model}} {{feature}}": "topk(10, sum by (model, feature) (rate(almanac_out_of_range_total[5m])))"},
                "ops",
            ),
        ],
        "Pipeline's window": [
            Panel("Drifted", newest("almanac_window_drifted", "use_case"), kind="stat", bad_above=1),
            Panel("Drifted columns", newest("almanac_window_drifted_features", "use_case"), kind="stat", bad_above=1),
            Panel(
                "Last comparison",
                age("almanac_monitor_timestamp_seconds", "use_case"),
                "s",
                "How long ago.",
                "stat",
                93600,
            ),
            Panel(
                "Newest observation",
                {"{{use_case}}": "1000 * max by (use_case) (almanac_window_data_newest_timestamp_seconds)"},
                "dateTimeAsIso",
                "Time of the newest observation by the data's clock, which stands still for an archive.",
                "stat",
            ),
            Panel(
                "Columns, highest statistic over its threshold",
                newest("almanac_window_drift_score", "feature", also=("use_case",)),
                bad_above=1,
            ),
            Panel(
                "Model outputs, highest statistic over its threshold",
                newest("almanac_window_output_drift_score", "model", "output", also=("use_case",)),
                help="Truth, prediction, residual, and the ranking of what the model leans on.",
                bad_above=1,
            ),
            Panel(
                "Drifted outputs",
                {"{{use_case}}": "sum by (use_case) (almanac_window_output_drifted)"},
                kind="stat",
                bad_above=1,
            ),
            Panel(
                "Agreement of the importances with those of training",
                newest("almanac_window_importance_ndcg_ratio", "model", also=("use_case",)),
                "percentunit",
                help="nDCG of the ranking by mean absolute SHAP values; 1 is the same ranking.",
            ),
        ],
    },
    "now-7d",
)

DECISIONS = Board(
    "decisions",
    "Decisions and business figures",
    "What the forecasts tell their readers to do, and how much they are used.",
    {
        "Use": [
            Panel("Forecasts in a day", {"all": "sum(increase(almanac_predicted_rows_total[1d]))"}, kind="stat"),
            Panel(
                "Requests in a day",
                {"all": 'sum(increase(almanac_requests_total{verb=~"predict|infer"}[1d]))'},
                kind="stat",
            ),
            Panel(
                "Answered",
                {"share": "1 - max(almanac:request_errors:ratio3d)"},
                "percentunit",
                "Over three days.",
                "stat",
                bad_below=0.999,
            ),
            Panel(
                "Forecasts with known truth",
                {
                    "share": "sum(increase(almanac_feedback_total[1d])) "
                    "/ sum(increase(almanac_predicted_rows_total[1d]))"
                },
                "percentunit",
                "Observed values posted, over rows predicted.",
                "stat",
            ),
        ],
        "Decisions": [
            Panel(
                "Signals",
                rate("almanac_predictions_total", "model", "signal"),
                "ops",
                "The decision signal that went with each prediction.",
            ),
            Panel(
                "Share of each signal in a day",
                {
                    "{{model}} {{signal}}": "sum by (model, signal) (increase(almanac_predictions_total[1d]))"
                    " / on (model) group_left () (sum by (model) (increase(almanac_predictions_total[1d])) > 0)"
                },
                "percentunit",
            ),
            Panel("Forecasts by model", {"{{model}}": "sum by (model) (increase(almanac_predicted_rows_total[1h]))"}),
            Panel(
                "Promise kept",
                {
                    "{{model}}": "max by (model) (almanac_rolling_coverage_ratio)"
                    " - max by (model) (almanac_model_nominal_coverage_ratio)"
                },
                "percentunit",
                "Coverage of the intervals less what they promise; below 0 readers take more risk than they think.",
            ),
        ],
    },
    "now-24h",
)
