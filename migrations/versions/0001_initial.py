"""The first schema: runs the frozen 0001_initial.sql beside this file."""

from alembic import op
from alembic.util import CommandError

from sisu_kodo.database.paths import replay_module

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    replay_module().run_revision(op.get_bind(), __file__)


def downgrade() -> None:
    raise CommandError(
        "nothing is below the first schema: `sisu db reset` starts anew, a backup brings old data back"
    )
