"""``weir score``: a file of samples in, their scores out, in constant memory.

In reading order: ``rows`` what a row must be (`datasets.table_files` reads them), ``writing`` the columns of the
output, ``job`` all of it together, ``export`` the buffer as a file, ``model`` the version that scores, ``scorer`` how.
"""
