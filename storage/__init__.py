"""What lasts: Postgres and model files.

Read first `engine`, then `tables`. `buffer` and `progress` are what workers write; `buffer_reader` and `quality` read
it; `registry`, `runs`, `lock` and `artifacts` are about models; `migrate` brings a database up to date.
"""
