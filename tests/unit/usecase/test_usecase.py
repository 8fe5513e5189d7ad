import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from almanac.core.errors import UseCaseError
from almanac.usecase import UseCase, digest, dump, load, load_text, schema
from almanac.usecase.override import load_with
from almanac.usecase.training_section import CANDIDATES
from tests.support import small

ROOT = Path(__file__).resolve().parents[3]
TREE = small.data() | {
    "split": {"test_from": date(2020, 6, 1)},
    "sources": [
        small.source(),
        small.source(name="more", path="more.csv", join={"tolerance": "1h"}),
        small.source(name="web", type="http", mirrors=[{"url": "https://example.org/m.csv"}], join={"tolerance": "1h"}),
        small.source(
            name="base", type="sql", query="SELECT 1", connection="sqlite:///data.db", join={"tolerance": "1h"}
        ),
    ],
    "training": {
        "candidates": [
            {"name": "ridge", "kind": "linear", "search": {"alpha": {"kind": "float", "low": 1, "high": 2}}},
            {"name": "trees", "kind": "lightgbm"},
            {"name": "both", "kind": "blend", "of": ["ridge", "trees"]},
        ]
    },
    "evaluation": {
        "season": "24h",
        "bands": {"edges": [10.0, 50.0]},
        "groups": [{"name": "hour", "calendar": "hour"}],
    },
    "gates": [
        {"rule": "beats_baselines"},
        {"rule": "max_disparity", "group": "hour", "ratio": 2.0},
        {"rule": "max_error", "target": "load_1h", "value": 3.0},
    ],
    "serving": {"decision": {"thresholds": [10.0], "names": ["low", "high"]}},
    "validation": {"staleness": {"max_age": "1d"}},
    "drift": {},
    "schedule": {},
}


def wrong(change: Callable[[Any], Any]) -> str:
    """Return what reading says of the use case after a change, without the name of the file."""
    tree = copy.deepcopy(TREE)
    change(tree)
    with pytest.raises(UseCaseError) as caught:
        load_text(yaml.safe_dump(tree), "case.yaml")
    assert all(line.startswith("case.yaml: ") for line in str(caught.value).splitlines())
    return str(caught.value).removeprefix("case.yaml: ")


def put(path: str, value: Any) -> Callable[[Any], Any]:
    """Return a change that puts a value at a path such as sources.0.path."""

    def change(tree: Any) -> None:
        *parents, last = path.split(".")
        for part in parents:
            tree = tree[int(part) if part.isdigit() else part]
        tree[int(last) if last.isdigit() else last] = value

    return change


def test_the_tree_that_the_tests_change_is_right() -> None:
    case = load_text(yaml.safe_dump(TREE), "case.yaml")
    assert isinstance(case, UseCase)
    assert case.target("load_1h").column == "load"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # Misspelt, missing and superfluous fields.
        ("targts", [], "targts: unknown field; did you mean 'targets'?"),
        ("training.candiates", [], "training.candiates: unknown field; did you mean 'candidates'?"),
        ("sources.0.read.delimeter", ";", "sources.0.read.delimeter: unknown field; did you mean 'delimiter'?"),
        ("sources.2.mirrors.0.membr", "x", "sources.2.mirrors.0.membr: unknown field; did you mean 'member'?"),
        ("features.items.0.colums", [], "features.items.0.colums: unknown field; did you mean 'columns'?"),
        ("gates.1.grp", "x", "gates.1.grp: unknown field"),
        ("time", {"column": "timestamp"}, "time.frequency: is missing; it is required"),
        ("sources.0", {"type": "file"}, "sources.0.name: is missing"),
        # Values of the wrong type or out of bounds.
        (
            "time.frequency",
            "hourly",
            "time.frequency: 'hourly' is not a duration; write a whole number and min, h or d",
        ),
        ("time.frequency", "6h\n", r"time.frequency: '6h\n' is not a duration"),
        ("time.frequency", "0h", "time.frequency: '0h' has no length"),
        ("name", "Air Quality", "name: string should match pattern"),
        ("columns.load.max_missing", 2, "columns.load.max_missing: input should be less than or equal to 1; got 2"),
        ("columns.load.min", "0", "columns.load.min: input should be a valid number; got '0'"),
        ("columns.category", {"unit": "m"}, "columns.category.type: is missing; it is required"),
        (
            "columns.load.type",
            "number",
            "columns.load.type: input should be 'float', 'integer', 'boolean', 'date', 'category' or 'text'",
        ),
        (
            "sources.0.type",
            "ftp",
            "sources.0.type: there is no source 'ftp'; known are file, http, package, sql;",
        ),
        ("gates.0.rule", "best", "gates.0.rule: there is no gate rule 'best'; known are beats_baselines, coverage,"),
        (
            "sources.0.read.format",
            "xls",
            "sources.0.read.format: input should be 'csv', 'excel', 'jsonl', 'parquet' or 'rdata'; got 'xl",
        ),
        ("sources.0.sha256", "abc", "sources.0.sha256: string should match pattern"),
        ("sources", [], "sources: list should have at least 1 item"),
        ("split.test_from", "June", "split.test_from: is no date; write it as ISO 8601 does"),
        ("training.folds", {"count": 1}, "training.folds.count: input should be greater than or equal to 2; got 1"),
        ("gates", [], "gates: list should have at least 1 item"),
        # Sources.
        ("sources.0.read.time", {}, "sources.0.read.time: give either 'column' or 'parts'"),
        ("sources.0.read.time.parts", {"year": "y"}, "sources.0.read.time: give either 'column' or 'parts'"),
        ("sources.0.read.time", {"parts": {"year": "y"}}, "'parts' needs at least year, month and day"),
        (
            "sources.0.read.time",
            {"parts": {"year": "y", "month": "m", "day": "d"}, "format": "%Y"},
            "sources.0.read.time: 'format' belongs to 'column', not to 'parts'",
        ),
        (
            "sources.0.read.time.zone",
            "Beijing",
            "sources.0.read.time.zone: 'Beijing' is not a time zone; write an IANA",
        ),
        # Times without a calendar.
        (
            "time",
            {"frequency": "1h", "origin": "2020-01-01"},
            "evaluation.groups.hour: times counted from time.origin have no calendar; leave it out",
        ),
        (
            "time",
            {"frequency": "1h", "origin": "2020-01-01", "zone": "Europe/Berlin"},
            "time.zone: times counted from time.origin have none; give one of the two",
        ),
        ("time", {"frequency": "1h", "origin": "the start"}, "time.origin: "),
        ("sources.0.read.rename", {"LOAD": "lod"}, "sources.meters.read.rename.LOAD: no column named lod; known: kind"),
        ("sources.0.read.rename", {"A": "load", "B": "load"}, "'rename' gives two columns the name load"),
        ("sources.0.read", {"time": {"column": "t"}, "rename": {"a": "load"}, "drop": ["a"]}, "renamed and dropped: a"),
        ("sources.0.read.member", "a.csv", "sources.0.read: 'member' belongs to compression zip"),
        ("sources.0.read.values", {"nope": {"a": 1}}, "sources.meters.read.values: no column named nope"),
        ("sources.0.read.values", {"kind": {"a": 1}}, "sources.meters.read.values.kind: is a category"),
        ("sources.0.join", {"tolerance": "1h"}, "sources.0.join: the first source sets the rows and has no join"),
        ("sources.1.join", None, "sources.1.join: a further source needs a join with a tolerance"),
        ("sources.1.name", "meters", "sources: declared twice: meters"),
        ("sources.2.mirrors", [], "sources.2.mirrors: list should have at least 1 item"),
        ("sources.2.mirrors.0.url", "m.csv", "sources.2.mirrors.0.url: must be an http:// or https:// address"),
        (
            "sources.2.mirrors.0.url",
            "https://u:p@h/",
            "sources.2.mirrors.0.url: an address in this file holds no passw",
        ),
        (
            "sources.3.connection",
            "postgresql://u:p@h/d",
            "sources.3.connection: an address in this file holds no passw",
        ),
        (
            "sources.3.connection",
            "postgresql://h/d?user=u&password=p",
            "sources.3.connection: an address in this file holds no passw",
        ),
        ("sources.3.connection", None, "sources.3: give either 'connection' or 'connection_env'"),
        ("sources.3.connection_env", "DB", "sources.3: give either 'connection' or 'connection_env'"),
        # Columns and keys.
        ("columns.load.categories", ["a"], "columns.load: 'categories' belongs to type category only"),
        ("columns.kind.categories", ["a", "a"], "columns.kind: 'categories' lists a value twice"),
        ("columns.kind.min", 0, "columns.kind: 'min' and 'max' belong to numbers"),
        ("columns.load.max", -1, "columns.load: min 0.0 is above max -1.0"),
        ("entity", "timestamp", "entity: timestamp is the time column"),
        ("entity", "kind", "columns.kind: is the column of entity; 'columns' lists the others only"),
        ("time.column", "load", "columns.load: is the column of time.column"),
        ("validation.staleness.as_of", "today", "'today' is neither now nor an ISO date"),
        ("validation.checks", [{"rule": "flat"}], "validation.checks.0.rule: there is no check 'flat'; known are"),
        (
            "validation.checks",
            [{"rule": "flatline", "column": "lod", "longest": "1d"}],
            "validation.checks.0.column: no column named lod; known: kind, load",
        ),
        ("validation.max_gap", "0h", "validation.max_gap: must be longer than nothing"),
        # Targets and split.
        ("targets.0.column", "lod", "targets.load_1h.column: no column named lod; known: kind, load"),
        ("targets.0.column", "kind", "targets.load_1h.column: kind is a category; a target is a number"),
        ("targets.0.horizon", "90min", "targets.load_1h.horizon: 90min is not a whole number of steps of 1h"),
        ("targets.0.horizon", "0h", "targets.load_1h.horizon: must be at least one step of 1h"),
        ("targets.0.task", "classification", "targets.0: 'above' belongs to task classification, and there alone"),
        ("targets", [TREE["targets"][0]] * 2, "targets: declared twice: load_1h"),
        ("split.gap", "0h", "split.gap: 0h is shorter than the longest horizon, 1h"),
        ("split.test_to", date(2020, 6, 1), "split.test_to: 2020-06-01 is not after test_from, 2020-06-01"),
        ("split.train_from", date(2021, 1, 1), "split.train_from: 2021-01-01 is not before test_from, 2020-06-01"),
        (
            "split",
            {"test_from": date(2020, 6, 1), "train_from": date(2020, 1, 1), "train_window": "30d"},
            "split: give either 'train_from' or 'train_window'",
        ),
        ("split.test", "last 30d", "split: 'test' belongs to a rolling split and 'test_from' to fixed dates; give one"),
        ("split", {"train": "expanding"}, "split: give 'test', such as last 365d, or for an archive 'test_from'"),
        ("split.test", "30d", "split.test: write 'last' and a whole number of min, h, d or y, such as last 365d"),
        ("split", {"test": "last 36h"}, "split.test: a test span has whole days, such as last 30d; got 'last 36h'"),
        ("split", {"test": "last 0d"}, "split.test: write 'last' and a whole number of min, h, d or y"),
        (
            "split",
            {"test": "last 9d", "train": "all"},
            "split.train: write expanding for everything before the test span, or",
        ),
        ("split.retrain", {"test": "last 9d", "tran": "expanding"}, "split.retrain.tran: unknown field; did you mean"),
        # Training.
        ("training.candidates.1.name", "ridge", "training.candidates: declared twice: ridge"),
        ("training.candidates.2.of", ["ridge", "x"], "training.candidates.both.of: no candidate named x"),
        (
            "training.candidates.2.of",
            ["ridge", "both"],
            "training.candidates.both.of: both is of kind blend; a blend is made of kinds",
        ),
        ("training.candidates.0.fixed", {"alpha": 1}, "training.candidates.ridge: alpha is both fixed and searched"),
        (
            "training.candidates.1.fixed",
            {"num_leafs": 4},
            "training.candidates.trees.fixed.num_leafs: is no parameter of lightgbm; did you mean num_leaves?",
        ),
        (
            "training.candidates.1.search",
            {"depths": {"kind": "integer", "low": 2, "high": 9}},
            "training.candidates.trees.search.depths: is no parameter of lightgbm",
        ),
        ("training.candidates.0.fixed", {"seed": 1}, "ridge.fixed.seed: is no parameter of linear; known: alpha"),
        (
            "training.candidates.1",
            {"name": "trees", "kind": "hist_gradient_boosting"},
            "training.candidates.both.of: trees is of kind hist_gradient_boosting; a blend is made of kinds",
        ),
        ("training.choose", {"metric": "log_loss"}, "training.choose.metric: log_loss belongs to a classification"),
        ("training.candidates.0.start", {"beta": 1}, "training.candidates.ridge.start: beta is not searched"),
        ("training.candidates.0.search.alpha.low", 9, "ridge.search.alpha: low 9.0 is above high 2.0"),
        (
            "training.candidates.0.search.alpha",
            {"kind": "float", "low": 0, "high": 1, "log": True},
            "ridge.search.alpha: low 0.0 has no logarithm",
        ),
        (
            "training.choose",
            {"prefer": ["x"]},
            "training.choose.prefer: no candidate named x; known: ridge, trees, both",
        ),
        # Evaluation, gates and what follows.
        ("evaluation.season", "90min", "evaluation.season: 90min is not a whole number of steps of 1h"),
        ("evaluation.bands.edges", [50.0, 10.0], "evaluation.bands.edges: must ascend"),
        ("evaluation.bands.edges", [float("nan")], "evaluation.bands.edges.0: input should be a finite number"),
        ("columns.load.min", float("-inf"), "columns.load.min: input should be a finite number"),
        ("evaluation.bands.names", ["low"], "evaluation.bands.names: 2 edges need 3 names"),
        ("evaluation.groups.0.column", "kind", "evaluation.groups.0: give either 'calendar' or 'column'"),
        ("evaluation.groups", [{"name": "hour", "column": "x"}], "evaluation.groups.hour.column: no column named x"),
        ("gates.0.false_refusals", 0.06, "gates.0.false_refusals: input should be less than or equal to 0.05"),
        ("gates.0.false_refusals", 0.05, "gates: the false_refusals of all rules add up to 0.05; must be less than"),
        ("gates.1.group", "day", "gates.1.group: no group named day; known: hour"),
        ("gates.2.target", "x", "gates.2.target: no target named x"),
        ("drift.columns", ["x"], "drift.columns: no column named x"),
        ("drift.signals", ["residual", "residual"], "drift: signals: residual is named twice"),
        ("drift.signals", [], "drift.signals: "),
        ("drift.signals", ["rank"], "drift.signals"),
        ("drift.window", "30min", "drift.window: must be at least one step of 1h"),
        ("serving.loading", "image", "serving.loading: expected server, initializer or oci://REPOSITORY"),
        ("serving.loading", "oci://models", "serving.loading: expected server, initializer or oci://REPOSITORY"),
        ("serving.decision.names", ["one", "two", "three"], "serving.decision: 1 thresholds need 2 names"),
        ("serving.decision.thresholds", [2.0, 1.0], "serving.decision: 2 thresholds need 3 names"),
        (
            "targets.0.decision",
            {"thresholds": [1.0], "names": ["a", "b", "c"]},
            "targets.0.decision: 1 thresholds need 2 names",
        ),
        (
            "targets.0",
            {
                "name": "load_1h",
                "column": "load",
                "horizon": "1h",
                "task": "classification",
                "above": 5.0,
                "decision": {"thresholds": [5.0], "names": ["wait", "act"]},
            },
            "decision.thresholds: those of a classification are probabilities, between 0 and 1",
        ),
        ("schedule.retrain", "0 3 1 * *", "schedule.retrain: '0 3 1 * *' has 5 fields; it should have six"),
        ("schedule.retrain", "0 0 24 1 * *", "schedule.retrain: '0 0 24 1 * *' has '24' as its hour; it should be *"),
        ("schedule.monitor", "0 0 a * * *", "schedule.monitor: '0 0 a * * *' has 'a' as its hour"),
    ],
)
def test_a_wrong_field_is_named_with_what_would_be_right(path: str, value: Any, message: str) -> None:
    assert message in wrong(put(path, value))


@pytest.mark.parametrize(
    "cron",
    ["0 0 3 1 * *", "0 */5 8-18/2 ? JAN,jul MON-FRI", "30 0,30 * * * 0", "@daily", "0 0 0 0 * *", "0 0 9-3 * * *"],
)
def test_what_a_schedule_may_be(cron: str) -> None:
    tree = copy.deepcopy(TREE)
    tree["schedule"] = {"retrain": cron}
    if cron in ("@daily", "0 0 0 0 * *", "0 0 9-3 * * *"):
        with pytest.raises(UseCaseError, match=r"schedule\.retrain"):
            load_text(yaml.safe_dump(tree), "case.yaml")
    else:
        assert load_text(yaml.safe_dump(tree), "case.yaml").schedule.retrain == cron


def test_the_parameters_of_a_candidate_are_those_of_its_learner() -> None:
    from lightgbm.basic import _ConfigAliases
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    aliases = _ConfigAliases._get_all_param_aliases()
    parameters = CANDIDATES["lightgbm"].parameters()
    assert {name: sorted(names) for name, names in parameters.items()} == {
        name: sorted(set(aliases[name]) - {name}) for name in parameters
    }
    withheld = aliases.keys() - parameters.keys()
    assert {"objective", "seed", "num_threads"} <= withheld
    assert len(withheld) < 30
    both = {**HistGradientBoostingClassifier().get_params(), **HistGradientBoostingRegressor().get_params()}
    own = {"loss", "quantile", "categorical_features", "warm_start", "verbose", "random_state"}
    assert both.keys() - CANDIDATES["hist_gradient_boosting"].parameters().keys() == own
    assert CANDIDATES["hist_gradient_boosting"].parameters().keys() <= both.keys()


def test_reading_a_use_case_imports_no_learner() -> None:
    """Every component reads it, and the learners take seconds to import."""
    script = (
        "import sys; from pathlib import Path; from almanac.usecase import load; load(Path(sys.argv[1]));"
        "print(sorted({'sklearn', 'lightgbm', 'optuna', 'scipy', 'statsforecast'} & sys.modules.keys()))"
    )
    case = ROOT / "usecases" / "air_quality.yaml"
    result = subprocess.run([sys.executable, "-c", script, str(case)], capture_output=True, text=True, cwd=ROOT)
    assert (result.stderr, result.stdout.strip()) == ("", "[]")


@pytest.mark.parametrize("value", ["[", "2020-13-01", "{a: 1, a: 2}"])
def test_a_value_on_the_command_line_that_is_no_yaml_is_named(tmp_path: Path, value: str) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(yaml.safe_dump(TREE))
    with pytest.raises(UseCaseError, match=rf"--set training.seed={re.escape(value)}: the value is not YAML"):
        load_with(path, [f"training.seed={value}"])


@pytest.mark.parametrize(
    "item", [{"kind": "calendar", "fields": ["hour"]}, {"kind": "holiday", "country": "DE", "fields": ["holiday"]}]
)
def test_times_without_a_calendar_have_no_features_of_one(item: dict[str, Any]) -> None:
    time = {"column": "timestamp", "frequency": "1h", "origin": "2020-01-01"}
    value = {"kind": "value", "group": "lagged", "columns": ["load"]}
    with pytest.raises(UseCaseError, match=rf"features\.items\.1: times .* have no {item['kind']}; leave it out"):
        small.usecase(time=time, features={"items": [value, {**item, "group": "calendar"}]})
    assert small.usecase(time=time).time.origin == date(2020, 1, 1)
    assert "origin" not in dump(small.usecase())


def test_one_decision_does_not_name_ranges_of_two_columns() -> None:
    own = {"thresholds": [0.5], "names": ["wait", "act"]}

    def change(tree: Any, decision: Any = None) -> None:
        tree["columns"]["wind"] = {"type": "float", "description": "Wind", "unit": "m/s"}
        tree["targets"].append({"name": "wind_1h", "column": "wind", "horizon": "1h", "decision": decision})

    assert "serving.decision: would name ranges of load and of wind alike" in wrong(change)
    tree = copy.deepcopy(TREE)
    change(tree, own)
    case = load_text(yaml.safe_dump(tree), "case.yaml")
    assert case.targets[1].decision is not None


def test_every_wrong_field_is_listed_at_once() -> None:
    def change(tree: Any) -> None:
        tree["nam"] = tree.pop("name")
        tree["time"]["frequency"] = "hourly"

    lines = wrong(change).splitlines()
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a mapping with the fields name, title"),
        ("- a\n- b\n", "must be a mapping with the fields"),
        ("a: [1, 2", "is not YAML"),
        ("name: a\nname: b\n", "key 'name' is given twice"),
        ("name: !!python/object/apply:os.getcwd []\n", "is not YAML"),
    ],
)
def test_a_text_that_is_no_use_case(text: str, message: str) -> None:
    with pytest.raises(UseCaseError, match=r"^case.yaml: ") as caught:
        load_text(text, "case.yaml")
    assert message in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UseCaseError, match=r"absent.yaml: cannot be read"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: Luftqualität".encode("latin-1"))
    with pytest.raises(UseCaseError, match=r"latin.yaml: cannot be read"):
        load(tmp_path / "latin.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "usecases").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_use_case_survives_the_way_through_json(path: Path) -> None:
    case = load(path)
    assert load_text(dump(case), "json") == case
    assert digest(load_text(dump(case), "json")) == digest(case)


def test_layout_does_not_change_the_digest_and_content_does(tmp_path: Path) -> None:
    other = tmp_path / "case.yaml"
    text = yaml.safe_dump(TREE)
    other.write_text("# a comment\n" + yaml.safe_dump(TREE, default_flow_style=True, sort_keys=False))
    assert digest(load(other)) == digest(load_text(text, "case.yaml"))
    assert digest(load_text(text.replace("1h", "2h"), "x")) != digest(load_text(text, "x"))


def test_the_schema_describes_every_field() -> None:
    document = schema()
    json.dumps(document)
    for section in [document, *document["$defs"].values()]:
        for name, field in section.get("properties", {}).items():
            described = field.get("description") or "const" in field
            if "$ref" in field:
                described = described or document["$defs"][field["$ref"].split("/")[-1]].get("description")
            assert described, f"{section['title']}.{name} has no description"


def test_further_checks_enter_the_digest_only_where_there_are_some() -> None:
    tree = copy.deepcopy(TREE)
    plain = load_text(yaml.safe_dump(tree), "case.yaml")
    assert "checks" not in json.loads(dump(plain))["validation"]
    tree["validation"] = {"checks": [{"rule": "flatline", "column": "load", "longest": "1d"}]}
    checked = load_text(yaml.safe_dump(tree), "case.yaml")
    assert load_text(dump(checked), "case") == checked
    assert digest(checked) != digest(plain)
