"""The state of the whole service, read from Postgres and the heartbeats: for the live view, the api and commands."""
