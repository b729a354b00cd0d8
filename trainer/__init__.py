"""The model and everything that is done to it: loading, scoring, fine-tuning, evaluation. Independent of Kafka and SQL.

In reading order: ``tokens`` text to token ids, ``model`` the networks, ``version_directory`` a version on disk,
``validation`` whether it can compute, ``scorer`` what a worker calls, ``bootstrap`` the first version (``minilm`` a
base of it), ``tuning`` the next one, ``triggers`` when, ``evaluation`` and ``gate`` whether, ``cycle`` one fine-tune
from rows to decision.
"""
