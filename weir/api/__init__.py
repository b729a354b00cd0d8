"""The HTTP interface of the role api.

Read ``app`` (the factory), ``routes`` (what is served), ``shapes`` (what goes in and out), ``problems`` (how it says
no), ``guard`` (who may ask, and how much), ``server`` (the socket).
"""
