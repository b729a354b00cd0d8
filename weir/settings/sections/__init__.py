"""The settings by section: fields, bounds and meanings, and which values conflict."""
