"""The local stack: a real Kafka and a real Postgres as child processes, next to the roles.

Read in this order: `install` fetches the programs, `process` with its `keeper` runs one child that cannot be orphaned,
`kafka` and `postgres` are the two servers, `supervisor` restarts and ends children in order, `stack` assembles them.
"""
