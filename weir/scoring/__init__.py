"""``weir score``: a file of samples in, their scores out, in constant memory.

In reading order: ``rows`` validates rows (`datasets.table_files` reads them), ``writing`` has the columns of the
output, ``job`` scores a file, ``export`` writes the buffer to a file, ``model`` finds the version that scores,
``scorer`` scores rows by it.
"""
