"""``weir score``: a file of samples in, their scores out, in constant memory.

In reading order: ``rows`` what a row must be (`weir.table` reads them), ``writing`` a Parquet that is there whole or
not at all, ``job`` all of it together; ``model`` the version that scores, and ``scorer`` how.
"""
