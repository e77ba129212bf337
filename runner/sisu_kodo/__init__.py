"""Sisu-Kodo: a durable workflow engine that is a Postgres schema plus a small Python runner."""
