"""What is shown of a statement, and above all what is not."""

import pytest
from asgiscope.export.resolve.sql import MAX_TEXT, describe, mask
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("sql", "operation", "collection"),
    [
        (
            'SELECT "shop_product"."id" FROM "shop_product" WHERE "shop_product"."id" = %s',
            "SELECT",
            "shop_product",
        ),
        ("SELECT `a`.`id` FROM `shop`.`a` LIMIT 21", "SELECT", "a"),
        (
            'INSERT INTO "auth_user" ("username") VALUES (%s) RETURNING "auth_user"."id"',
            "INSERT",
            "auth_user",
        ),
        ('UPDATE "django_session" SET "session_data" = %s', "UPDATE", "django_session"),
        ('DELETE FROM "public"."t" WHERE id IN (1, 2)', "DELETE", "t"),
        ("select [dbo].[users].[id] from [dbo].[users]", "SELECT", "users"),
        ("BEGIN", "BEGIN", ""),
        ('SAVEPOINT "s1"', "SAVEPOINT", ""),
        ("  -- a comment\n SELECT 1", "SELECT", ""),
        ("(SELECT 1 FROM x) UNION (SELECT 2 FROM y)", "SELECT", "x"),
        ("", "QUERY", ""),
    ],
)
def test_operation_and_collection(sql: str, operation: str, collection: str) -> None:
    """Named as the semantic conventions ask."""
    statement = describe(sql)
    assert (statement.operation, statement.collection) == (operation, collection)


@pytest.mark.parametrize(
    ("sql", "masked"),
    [
        ("SELECT * FROM t WHERE a = 'it''s' AND b = 42", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ("WHERE a = E'x\\'y' AND b = 1.5e3", "WHERE a = ?"),
        ("WHERE p = 'C:\\' AND token = 'secret42' AND x = 'y'", "WHERE p = ?"),
        ("WHERE a LIKE %s ESCAPE '\\' AND b = 1.5e3", "WHERE a LIKE %s ESCAPE '\\' AND b = ?"),
        ("WHERE a = $$secret$$ AND b = $tag$also$tag$", "WHERE a = ? AND b = ?"),
        ("WHERE a = 0xFF", "WHERE a = ?"),
        ('SELECT "col1" FROM t1 WHERE x = %s', 'SELECT "col1" FROM t1 WHERE x = %s'),
        ("WHERE a = 'unterminated", "WHERE a = ?"),
    ],
)
def test_literals_are_masked(sql: str, masked: str) -> None:
    """Values never leave; names and placeholders do."""
    assert mask(sql) == masked


def test_comments_are_dropped() -> None:
    """They are a place where frameworks put request data."""
    assert "secret" not in describe("SELECT 1 /* user=secret */ FROM t -- secret").text


@given(st.text(alphabet=st.characters(blacklist_characters="'\\$`\"/-", categories=["L"]), min_size=4))
def test_a_string_literal_never_survives(value: str) -> None:
    """Whatever it holds."""
    assert value not in describe(f"SELECT 1 FROM t WHERE a = 'zz{value}zz'").text.replace("SELECT", "")


def test_a_long_statement_is_cut() -> None:
    """A bulk insert must not fill a span."""
    assert len(describe("SELECT " + ", ".join(f"c{n}" for n in range(5000))).text) <= MAX_TEXT
