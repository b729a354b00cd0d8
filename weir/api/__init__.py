"""The HTTP interface of the role api.

Read ``app`` (the factory), ``routes`` (what is served), ``shapes`` (what goes in and out), ``problems`` (how it says
no), ``limits`` and ``guard`` (who may ask, and how much), ``outline`` (large bodies, parsed within bounds),
``measuring`` (what is counted), ``server`` and ``protocol`` (the socket).
"""
