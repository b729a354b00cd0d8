"""Weir, assembled: the only package that reads settings and names the concrete classes of all the others.

Read in this order: ``settings`` (every ``WEIR_*``), ``roles`` (worker, trainer, api), ``cli`` (the command line),
``api`` (HTTP), ``local`` (Kafka and Postgres as child processes).
"""
