"""Measurements: `python -m tests.bench flash`. Commands, never timed tests."""
