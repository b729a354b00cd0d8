"""The HTTP interface of the role api.

Read ``app`` (the factory), ``routes`` (what is served, an area a file, with its requests and answers), ``shapes``
(types that areas share), ``problems`` (errors as problem details), ``access`` (who asks) and ``permissions`` (the role
of each route), ``limits``, ``few`` and ``guard`` (which requests are taken, and how many), ``outline`` (large bodies,
parsed within bounds), ``measuring`` (what is counted), ``shared_state`` (metrics of what all roles share), ``server``,
``protocol`` and ``certificate`` (the socket).
"""
