"""The model and everything that is done to it: loading, scoring, fine-tuning, judging. Knows neither Kafka nor SQL.

In reading order: ``tokens`` text to token ids, ``model`` the networks, ``folder`` a version on disk, ``proof`` whether
it can compute, ``scorer`` what a worker asks, ``bootstrap`` the first version (``minilm`` a base of it), ``finetune``
the next one, ``triggers`` when, ``evaluation`` and ``gate`` whether, ``cycle`` one turn of all that.
"""
