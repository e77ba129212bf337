"""Sisu-Kodo: a durable workflow engine that is a Postgres schema plus a small Python runner."""

from .checkpoints import TurnOver
from .models import Artifact, StepContext, StepError, StepResult
from .registry import Registry, handler

__all__ = ["Artifact", "Registry", "StepContext", "StepError", "StepResult", "TurnOver", "handler"]
