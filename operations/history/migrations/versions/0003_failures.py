"""Table of failed runs."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table; the next update makes every row again, as the code that makes them is another one."""
    op.create_table(
        "failures",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("failed", sa.String(), nullable=False),
        sa.Column("runner", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("gate_passed", sa.Boolean()),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
    )
    op.create_index("ix_failures_use_case", "failures", ["use_case"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("failures")
