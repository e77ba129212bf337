"""When runs were purged last, for starts with an older snapshot. Runs the frozen SQL beside this file."""

from alembic import op
from alembic.util import CommandError

from sisu_kodo.database.paths import replay_module

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    replay_module().run_revision(op.get_bind(), __file__)


def downgrade() -> None:
    raise CommandError("revisions go forward only: restore a backup, or `sisu db reset` to start anew")
