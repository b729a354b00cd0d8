"""Kafka: reading interactions by chunks, exactly; publishing scores; dead letters and their way back; topics; replay.

Read ``chunks`` for what is committed when, ``partition_worker`` for the processing of one partition, ``agent`` for all
partitions of a process, ``app`` for the process around them. Knows ``importance`` and nothing else of Weir: how to
score, store and report is given to it as callables.
"""
