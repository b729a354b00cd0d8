"""Kafka: reading interactions by chunks, exactly; publishing scores; dead letters and redriving; topics; replay.

Read ``chunks`` for what is committed when, ``partition_worker`` for the processing of one partition, ``agent`` for all
partitions of a process, ``app`` for the process around them. Depends on ``importance`` only: functions to
score, store and report are passed to it.
"""
