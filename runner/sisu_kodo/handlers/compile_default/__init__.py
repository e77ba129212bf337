"""The recipe compile-default: plan, patch, decide, execute."""

from . import steps

__all__ = ["steps"]
