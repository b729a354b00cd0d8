"""Kafka: reading interactions by chunks, exactly; publishing scores; dead letters and their way back; topics; replay.

Read ``chunks`` for what is committed when, ``lane`` for the way of one partition, ``agent`` for all of a worker's
partitions, ``app`` for the process around them. Knows ``importance`` and nothing else of Weir: how to score, store
and report is given to it as callables.
"""
