"""Shared by every process of Weir: logs, signals, temporary directories, and the name of its user."""
