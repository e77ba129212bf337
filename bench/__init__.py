"""Benchmarks: not tests, never part of CI's verdict."""
