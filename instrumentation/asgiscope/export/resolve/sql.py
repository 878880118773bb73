"""The operation and the table of a statement, and its text without literals.

Written for the SQL of Django's compilers; for other SQL the first keyword and the first table are returned.
Results are cached by statement: Django's statements repeat, since parameters are separate.
"""

import functools
import re
from typing import NamedTuple

MAX_TEXT = 2048
"""Limit of characters kept of a statement."""

_IDENTIFIER = r"""(?:"(?P<dq>[^"]+)"|`(?P<bt>[^`]+)`|\[(?P<br>[^\]]+)\]|(?P<bare>[\w$]+))"""
_QUALIFIED = rf"(?:(?:\"[^\"]+\"|`[^`]+`|\[[^\]]+\]|[\w$]+)\s*\.\s*)*{_IDENTIFIER}"
_KEYWORD = re.compile(r"\s*\(*\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*([A-Za-z]+)", re.DOTALL)
_TABLE = {
    "SELECT": re.compile(rf"\bFROM\s+{_QUALIFIED}", re.IGNORECASE),
    "DELETE": re.compile(rf"\bFROM\s+{_QUALIFIED}", re.IGNORECASE),
    "INSERT": re.compile(rf"\bINTO\s+{_QUALIFIED}", re.IGNORECASE),
    "REPLACE": re.compile(rf"\bINTO\s+{_QUALIFIED}", re.IGNORECASE),
    "UPDATE": re.compile(rf"\bUPDATE\s+(?:ONLY\s+)?{_QUALIFIED}", re.IGNORECASE),
}
# Databases disagree whether a backslash escapes within a literal, so after a literal with a backslash the
# rest of the statement is masked, except for the clause that Django writes after every LIKE.
_LITERALS = re.compile(
    r"""
      (?P<keep> \bESCAPE\s+'\\{1,2}'
      | "(?:[^"]|"")*" | `[^`]*` | --[^\n]* | /\*.*?\*/ | %\(\w+\)s | %s | :\w+ | \$\d+ )
    | (?P<mask>
        [eEnNxXbB]? '(?:[^'\\]|'')*(?:'|\\.*\Z|\Z)
      | \$(?P<tag>\w*)\$ .*? (?:\$(?P=tag)\$|$)
      | (?<![\w.]) (?:0[xX][0-9a-fA-F]+ | \d+(?:\.\d+)?(?:[eE][+-]?\d+)?) (?!\w)
      )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


class Statement(NamedTuple):
    """A statement in a form that can be sent."""

    operation: str
    collection: str
    text: str

    @property
    def summary(self) -> str:
        """Return `{operation} {collection}`, the low-cardinality name of the query."""
        return f"{self.operation} {self.collection}".strip()


def describe(sql: str) -> Statement:
    """Describe a statement. Comments are removed with the literals: both may contain data."""
    return _describe(sql[: MAX_TEXT * 4])


@functools.lru_cache(maxsize=2048)
def _describe(sql: str) -> Statement:
    plain = _COMMENT.sub(" ", mask(sql)).lstrip()
    keyword = _KEYWORD.match(plain)
    operation = keyword.group(1).upper() if keyword else "QUERY"
    collection = ""
    pattern = _TABLE.get(operation if operation != "WITH" else "SELECT")
    if pattern is not None:
        match = pattern.search(plain)
        if match is not None:
            collection = match["dq"] or match["bt"] or match["br"] or match["bare"] or ""
    return Statement(operation, collection, plain.strip()[:MAX_TEXT])


def mask(sql: str) -> str:
    """Return the statement with `?` for every literal; placeholders and quoted identifiers stay."""
    return _LITERALS.sub(lambda match: match["keep"] if match["keep"] is not None else "?", sql)
