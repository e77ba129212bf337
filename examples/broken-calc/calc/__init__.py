"""A calculator for + - * / and parentheses."""

from .parser import evaluate

__all__ = ["evaluate"]
