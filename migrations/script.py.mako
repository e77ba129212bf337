"""${message}: runs the frozen ${up_revision}_*.sql beside this file."""

from alembic import op
from alembic.util import CommandError

from sisu_kodo.database.paths import replay_module

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    replay_module().run_revision(op.get_bind(), __file__)


def downgrade() -> None:
    raise CommandError("revisions only go forward: restore a backup taken before the upgrade, or add a revision that undoes it")
