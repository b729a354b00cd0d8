"""The state of the whole service, read from Postgres: for the live view, the api and the commands."""
