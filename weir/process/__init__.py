"""Shared by every process: logs, signals, background threads, temporary directories, and the name of its user."""
