"""Tables of the history; times are ISO 8601 texts, and values of several parts canonical JSON.

Every key is natural: the same origins give the same rows in every database.
"""

from sqlalchemy import Boolean, Column, Double, Index, Integer, MetaData, String, Table, Text

METADATA = MetaData()
#: Tables that a rebuild compares its origins with; the export leaves them out, as files have other times elsewhere.
INTERNAL = MetaData()


def _key(name: str, kind: type[String] | type[Integer] = String) -> Column[object]:
    return Column(name, kind, primary_key=True, autoincrement=False)


RUNS = Table(
    "runs",
    METADATA,
    _key("id"),
    Column("use_case", String, nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("started", String, nullable=False),
    Column("finished", String, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("runner", String, nullable=False),
    Column("use_case_digest", String, nullable=False),
    Column("git_revision", String),
    Column("version", Integer),
    Column("gate_passed", Boolean),
    Column("breached", Boolean),
    Column("steps", Text, nullable=False),
    Column("directory", Text, nullable=False),
)
#: Runs that failed, of which there is a record and nothing else.
FAILURES = Table(
    "failures",
    METADATA,
    _key("id"),
    Column("use_case", String, nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("failed", String, nullable=False),
    Column("runner", String, nullable=False),
    Column("step", String, nullable=False),
    Column("error", Text, nullable=False),
    Column("gate_passed", Boolean),
    Column("command", Text, nullable=False),
    Column("record", Text, nullable=False),
)
VERSIONS = Table(
    "versions",
    METADATA,
    _key("use_case"),
    _key("number", Integer),
    Column("manifest", String, nullable=False),
    Column("model", String, nullable=False),
    Column("proposer", String, nullable=False),
    Column("registered", String, nullable=False),
    Column("status", String, nullable=False),
    Column("stage", String),
    Column("gate_passed", Boolean, nullable=False),
    Column("documents", String),
    Column("rejected", String),
    Column("aliases", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("description", Text, nullable=False),
)
#: Figures of runs and of versions; `subject` is a run's id or a version's number.
METRICS = Table(
    "metrics",
    METADATA,
    _key("use_case"),
    _key("kind"),
    _key("subject"),
    _key("target"),
    _key("name"),
    Column("value", Double, nullable=False),
)
EVENTS = Table(
    "events",
    METADATA,
    _key("use_case"),
    _key("number", Integer),
    Column("kind", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("who", String, nullable=False),
    Column("when", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("identity", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("detail", Text, nullable=False),
)
#: Decisions of people on versions, policies, plans and actions, each an event or an entry of a log.
APPROVALS = Table(
    "approvals",
    METADATA,
    _key("use_case"),
    _key("log"),
    _key("number", Integer),
    Column("subject", String, nullable=False),
    Column("decision", String, nullable=False),
    Column("who", String, nullable=False),
    Column("identity", String, nullable=False),
    Column("when", String, nullable=False),
    Column("why", Text, nullable=False),
)
WINDOWS = Table(
    "windows",
    METADATA,
    _key("run"),
    _key("start"),
    Column("use_case", String, nullable=False),
    Column("stop", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("judged", Boolean, nullable=False),
    Column("breach", Boolean, nullable=False),
    Column("drifted", Boolean),
    Column("reasons", Text, nullable=False),
    # Covers the question for the newest judgement of each window, which every page asks.
    Index("ix_windows_newest", "use_case", "stop", "start", "run"),
)
WINDOW_TARGETS = Table(
    "window_targets",
    METADATA,
    _key("run"),
    _key("start"),
    _key("target"),
    Column("rows", Integer, nullable=False),
    Column("mae", Double),
    Column("rmse", Double),
    Column("bias", Double),
    Column("coverage", Double),
    Column("baseline_mae", Double),
    Column("estimated_mae", Double),
)
WINDOW_COLUMNS = Table(
    "window_columns",
    METADATA,
    _key("run"),
    _key("start"),
    _key("output"),
    _key("column"),
    Column("role", String, nullable=False),
    Column("drifted", Boolean, nullable=False),
    Column("score", Double),
    Column("p_value", Double),
    Column("cause", String),
    Column("missing_rate", Double),
)
ALARMS = Table(
    "alarms",
    METADATA,
    _key("use_case"),
    _key("number", Integer),
    Column("name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("when", String, nullable=False),
    Column("summary", Text, nullable=False),
)
PLANS = Table(
    "plans",
    METADATA,
    _key("use_case"),
    _key("digest"),
    Column("proposer", String, nullable=False),
    Column("created", String, nullable=False),
    Column("expires", String, nullable=False),
    Column("status", String, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("difference", Text, nullable=False),
)
ACTIONS = Table(
    "actions",
    METADATA,
    _key("use_case"),
    _key("number", Integer),
    Column("subject", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("who", String, nullable=False),
    Column("when", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("detail", Text, nullable=False),
)
NOTIFICATIONS = Table(
    "notifications",
    METADATA,
    _key("use_case"),
    _key("number", Integer),
    Column("subject", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("when", String, nullable=False),
    Column("summary", Text, nullable=False),
)
#: Logged predictions by hour of the data's clock, for an archive has no other.
REQUESTS = Table(
    "requests",
    METADATA,
    _key("use_case"),
    _key("target"),
    _key("version", Integer),
    _key("hour"),
    Column("count", Integer, nullable=False),
)
#: What the rows were made from, part by part.
PARTS = Table("parts", INTERNAL, _key("kind"), _key("key"), Column("state", Text, nullable=False))
#: Kind of the parts that are runs in a registry's store.
PUBLISHED = "published"
#: Logged predictions of each file of the log; the requests are their sums.
LOGGED = Table(
    "logged",
    INTERNAL,
    _key("file"),
    _key("use_case"),
    _key("target"),
    _key("version", Integer),
    _key("hour"),
    Column("count", Integer, nullable=False),
)
