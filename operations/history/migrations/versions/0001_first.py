"""First tables of the history."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "runs",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("started", sa.String(), nullable=False),
        sa.Column("finished", sa.String(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("runner", sa.String(), nullable=False),
        sa.Column("use_case_digest", sa.String(), nullable=False),
        sa.Column("git_revision", sa.String()),
        sa.Column("version", sa.Integer()),
        sa.Column("gate_passed", sa.Boolean()),
        sa.Column("breached", sa.Boolean()),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("directory", sa.Text(), nullable=False),
    )
    op.create_index("ix_runs_use_case", "runs", ["use_case"])
    op.create_table(
        "versions",
        sa.Column("use_case", sa.String(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("manifest", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("proposer", sa.String(), nullable=False),
        sa.Column("registered", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("stage", sa.String()),
        sa.Column("gate_passed", sa.Boolean(), nullable=False),
        sa.Column("documents", sa.String()),
        sa.Column("rejected", sa.String()),
        sa.Column("aliases", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
    )
    op.create_table(
        "metrics",
        sa.Column("use_case", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), primary_key=True),
        sa.Column("subject", sa.String(), primary_key=True),
        sa.Column("target", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("value", sa.Double(), nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("use_case", sa.String(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("when", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )
    op.create_table(
        "approvals",
        sa.Column("use_case", sa.String(), primary_key=True),
        sa.Column("log", sa.String(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("when", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
    )
    op.create_table(
        "windows",
        sa.Column("run", sa.String(), primary_key=True),
        sa.Column("start", sa.String(), primary_key=True),
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("stop", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("judged", sa.Boolean(), nullable=False),
        sa.Column("breach", sa.Boolean(), nullable=False),
        sa.Column("drifted", sa.Boolean()),
        sa.Column("reasons", sa.Text(), nullable=False),
    )
    op.create_index("ix_windows_newest", "windows", ["use_case", "stop", "start", "run"])
    op.create_table(
        "window_targets",
        sa.Column("run", sa.String(), primary_key=True),
        sa.Column("start", sa.String(), primary_key=True),
        sa.Column("target", sa.String(), primary_key=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("mae", sa.Double()),
        sa.Column("rmse", sa.Double()),
        sa.Column("bias", sa.Double()),
        sa.Column("coverage", sa.Double()),
        sa.Column("baseline_mae", sa.Double()),
        sa.Column("estimated_mae", sa.Double()),
    )
    op.create_table(
        "window_columns",
        sa.Column("run", sa.String(), primary_key=True),
        sa.Column("start", sa.String(), primary_key=True),
        sa.Column("output", sa.String(), primary_key=True),
        sa.Column("column", sa.String(), primary_key=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("drifted", sa.Boolean(), nullable=False),
        sa.Column("score", sa.Double()),
        sa.Column("p_value", sa.Double()),
        sa.Column("cause", sa.String()),
        sa.Column("missing_rate", sa.Double()),
    )
    op.create_table(
        "alarms",
        sa.Column("use_case", sa.String(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("when", sa.String(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
    )
    op.create_table(
        "plans",
        sa.Column("use_case", sa.String(), primary_key=True),
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("proposer", sa.String(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("expires", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("difference", sa.Text(), nullable=False),
    )
    op.create_table(
        "actions",
        sa.Column("use_case", sa.String(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("when", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )
    op.create_table(
        "notifications",
        sa.Column("use_case", sa.String(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("when", sa.String(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
    )
    op.create_table(
        "requests",
        sa.Column("use_case", sa.String(), primary_key=True),
        sa.Column("target", sa.String(), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("hour", sa.String(), primary_key=True),
        sa.Column("count", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("requests")
    op.drop_table("notifications")
    op.drop_table("actions")
    op.drop_table("plans")
    op.drop_table("alarms")
    op.drop_table("window_columns")
    op.drop_table("window_targets")
    op.drop_table("windows")
    op.drop_table("approvals")
    op.drop_table("events")
    op.drop_table("metrics")
    op.drop_table("versions")
    op.drop_table("runs")
