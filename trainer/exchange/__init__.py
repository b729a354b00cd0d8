"""Versions as directories of transformers: ``export`` writes one, ``card`` describes it, ``standalone`` is its code."""
