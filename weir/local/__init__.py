"""The local stack: a real Kafka and a real Postgres as child processes, and the roles beside them.

Read in this order: `install` fetches the programs, `process` with its `keeper` runs one child that cannot be orphaned,
`kafka` and `postgres` are the two servers, `supervisor` restarts and ends children in order, `stack` joins them.
"""
