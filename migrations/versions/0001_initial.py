"""The first schema: runs the frozen 0001_initial.sql beside this file."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(sql)


def downgrade() -> None:
    raise RuntimeError("there is nothing below the first schema: `sisu db reset` starts anew, a backup brings old data back")
