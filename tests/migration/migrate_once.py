"""Migrates the database of its argument: a process of its own for the test of concurrent migrations."""

import sys

from sisu_kodo.database import migrate

if __name__ == "__main__":
    migrate(sys.argv[1])
