"""Storms, and the actions that must have one effect."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "storms",
        sa.Column("id", key, nullable=False),
        sa.Column("brand", sa.String(length=200), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("usual_per_hour", sa.Float(), nullable=False),
        sa.Column("looked_at", sa.BigInteger(), nullable=False),
        sa.Column("told_cases", sa.Integer(), nullable=False),
        sa.Column("told_open", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storms")),
    )
    op.create_index(
        "ix_storms_on",
        "storms",
        ["brand"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "storm_messages",
        sa.Column("storm_id", key, nullable=False),
        sa.Column("responder", sa.String(length=100), nullable=False),
        sa.Column("ref", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["storm_id"], ["storms.id"], name=op.f("fk_storm_messages_storm_id")),
        sa.PrimaryKeyConstraint("storm_id", "responder", name=op.f("pk_storm_messages")),
    )
    op.create_table(
        "handled",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_handled")),
    )
    op.create_index("ix_handled_at", "handled", ["at"], unique=False)
    # By hand: Alembic's batch mode would copy the whole table, and drop the old one under the rows that refer to it,
    # which SQLite refuses within a transaction. Adding an empty column is instant, also to millions of rows.
    integer = "INTEGER" if op.get_context().dialect.name == "sqlite" else "BIGINT"
    for table in ("cases", "deliveries"):
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN storm_id {integer} "
            f"CONSTRAINT fk_{table}_storm_id REFERENCES storms (id)"
        )
    op.create_index("ix_cases_brand", "cases", ["brand", "opened_at", "state"], unique=False)
    op.create_index(
        "ix_cases_storm",
        "cases",
        ["storm_id"],
        unique=False,
        sqlite_where=sa.text("storm_id IS NOT NULL"),
        postgresql_where=sa.text("storm_id IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_storm",
        "deliveries",
        ["storm_id", "responder", "id"],
        unique=False,
        sqlite_where=sa.text("storm_id IS NOT NULL AND case_id IS NULL"),
        postgresql_where=sa.text("storm_id IS NOT NULL AND case_id IS NULL"),
    )
