"""Which URLs are refused, without any part of them in the error, and what makes a missing role or database."""

import pytest

from storage.address import problem, recipe


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/weir",
        "postgres://ann@db:5432/weir",
        "postgresql+psycopg://ann:p%40ss%25@[::1]:5432/weir",
        "postgresql:///weir?host=/var/run/postgresql",
        "postgresql://ann:p%C3%A9@db/weir?sslmode=verify-full&options=-c%20x%3D1",
    ],
)
def test_what_libpq_reads_passes(url: str) -> None:
    assert problem(url) is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "is of another kind"),
        ("hush", "is of another kind"),
        ("mysql://ann:hush@db/weir", "is a mysql URL; only postgresql is supported"),
        ("hush://", "is of another kind"),
        ("postgresql://ann:hu@sh@db/weir", "has an @ too many"),
        ("postgresql://ann:hu/sh@db/weir", "has an @ too many"),
        ("postgresql://ann:hu#sh@db/weir", "has an @ too many"),
        ("postgresql://db/weir#hush", "has a #"),
        ("postgresql://ann:hush@db:port/weir", "has no host or port that can be read"),
        ("postgresql://ann:hush@db:0/weir", "has no host or port that can be read"),
        ("postgresql://ann:hush@[db/weir", "has no host or port that can be read"),
        ("postgresql://ann:hush%4@db/weir", "has a % that two hexadecimal digits do not follow"),
        ("postgresql://ann:hush%FF@db/weir", "has percent-encoded bytes that are not UTF-8 text"),
        ("postgresql://ann:hush%00@db/weir", "has percent-encoded bytes that are not UTF-8 text"),
        ("postgresql://ann:hush@db/weir?sslmode=", "has an unknown sslmode"),
        ("postgresql://ann:hush@db/weir?sslmode=require&sslmode=disable", "has an unknown sslmode"),
    ],
)
def test_what_it_does_not_read_is_refused_without_the_secret(url: str, reason: str) -> None:
    found = problem(url)
    assert found is not None
    assert found.startswith(reason)
    assert "hush" not in found


def test_names_are_quoted_where_sql_needs_it() -> None:
    assert recipe('database "Shop-1" does not exist', "ann", "Shop-1") == (
        'run as a superuser: CREATE DATABASE "Shop-1" OWNER ann;'
    )
    assert recipe('role "o""x" does not exist', 'o""x', "shop") is not None
    assert recipe('database "shop" does not exist', None, "shop") == (
        "run as a superuser: CREATE DATABASE shop OWNER shop;"
    )


def test_a_refusal_of_another_kind_has_no_recipe() -> None:
    assert recipe("FATAL:  the database system is starting up", "ann", "shop") is None
