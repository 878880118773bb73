# ruff: noqa: INP001 - a script beside a JavaScript project, not a package
"""Writes src/api/schema.ts from the collector's OpenAPI document: `python dashboard/api_types.py`.

openapi-typescript would do as much, but needs the JavaScript interface that TypeScript 7 no longer has.
tests/dashboard/test_types.py fails where the file is not what this would write.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from asgiscope_collector.definitions import DEFINITIONS, markdown
from asgiscope_collector.settings import Settings
from asgiscope_collector.web.app import create_app

TARGET: Final = Path(__file__).resolve().parent / "src/api/schema.ts"
MEANINGS: Final = TARGET.parents[1] / "text/definitions.ts"
DEFINED: Final = TARGET.parents[3] / "docs/definitions.md"
WIDTH: Final = 120
HEADER: Final = """\
/**
 * What the API takes and answers. Made by dashboard/api_types.py from the collector's models: do not edit.
 *
 * `*_ns` are nanoseconds. A number keeps 256 ns of an epoch time; durations are exact.
 */

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
"""
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_PREFIX: Final = "/api/"
_REFERENCE: Final = "#/components/schemas/"
_NAMES: Final = {
    "integer": "number",
    "number": "number",
    "string": "string",
    "boolean": "boolean",
    "null": "null",
}
_FRAMEWORK: Final = {"HTTPValidationError", "ValidationError"}
"""FastAPI describes its own errors, which the collector answers as `Problem`."""

Schema = Mapping[str, Any]


def main() -> int:
    """Write the files."""
    TARGET.write_text(typescript(openapi()))
    MEANINGS.write_text(meanings())
    DEFINED.parent.mkdir(exist_ok=True)
    DEFINED.write_text(markdown())
    return 0


def meanings() -> str:
    """The TypeScript of what the figures mean."""
    lines = [f"  {name}: {json.dumps(each.meaning)}," for name, each in DEFINITIONS.items()]
    head = "/** What the figures mean. Made by dashboard/api_types.py from definitions.py: do not edit. */"
    return "\n".join([head, "", "export const definitions = {", *lines, "} as const;", ""])


def openapi() -> dict[str, Any]:
    """The collector's own description of its API."""
    with tempfile.TemporaryDirectory() as folder:
        return create_app(Settings(data=Path(folder))).openapi()


def typescript(document: Schema) -> str:
    """The TypeScript of an OpenAPI 3.1 document.

    Raises:
        ValueError: the document uses something that this does not know.
    """
    schemas: Schema = document["components"]["schemas"]
    asked = _asked(document, schemas)
    parts = [HEADER]
    parts += [
        _declaration(name, schema, optional=name in asked)
        for name, schema in schemas.items()
        if name not in _FRAMEWORK
    ]
    parts.append("/** Method and path below /api/: what each takes, and what it answers. */\n")
    parts[-1] += "export interface Endpoints {\n" + "".join(_endpoints(document)) + "}\n"
    return "\n".join(parts)


def _asked(document: Schema, schemas: Schema) -> set[str]:
    """Models within request bodies: there a field with a default may be left out; answers always hold it."""
    found: set[str] = set()
    queue = [
        name
        for _, _, operation in _operations(document)
        for name in _references(operation.get("requestBody", {}))
    ]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += _references(schemas[name])
    return found


def _references(node: Any) -> list[str]:
    if isinstance(node, Mapping):
        own = [node["$ref"].removeprefix(_REFERENCE)] if "$ref" in node else []
        return own + [name for value in node.values() for name in _references(value)]
    if isinstance(node, list):
        return [name for value in node for name in _references(value)]
    return []


def _declaration(name: str, schema: Schema, *, optional: bool) -> str:
    comment = _comment(schema.get("description", ""), "")
    if "enum" in schema:
        line = f"export type {_name(name)} = {' | '.join(_literals(schema['enum']))};\n"
        if len(line) > WIDTH:
            line = f"export type {_name(name)} =\n  | " + "\n  | ".join(_literals(schema["enum"])) + ";\n"
        return comment + line
    if schema.get("type") != "object":
        return f"{comment}export type {_name(name)} = {_type(schema)};\n"
    required = schema.get("required", [])
    fields = "".join(
        f"{_comment(field.get('description', ''), '  ')}"
        f"  {_key(key)}{'?' if optional and key not in required else ''}: {_type(field)};\n"
        for key, field in schema.get("properties", {}).items()
    )
    return f"{comment}export interface {_name(name)} {{\n{fields}}}\n"


def _endpoints(document: Schema) -> Iterator[str]:
    for method, path, operation in _operations(document):
        parameters = [part for part in operation.get("parameters", ()) if part["in"] == "query"]
        query = "".join(
            f"      {_key(part['name'])}{'' if part.get('required') else '?'}: {_parameter(part['schema'])};\n"
            for part in parameters
        )
        body = _content(operation.get("requestBody"))
        yield f'  "{method.upper()} {path.removeprefix(_PREFIX)}": {{\n'
        yield f"    query: {{\n{query}    }};\n" if query else "    query: object;\n"
        yield f"    body: {body};\n"
        yield f"    answer: {_answer(operation)};\n  }};\n"


def _operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in document["paths"].items():
        if path.startswith(_PREFIX):
            yield from ((method, path, methods[method]) for method in _METHODS if method in methods)


def _answer(operation: Schema) -> str:
    answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    return " | ".join(dict.fromkeys(_content(answer) for answer in answers))


def _content(part: Schema | None) -> str:
    """The type of a body that is JSON; `undefined` where there is none, or none that is JSON."""
    media = (part or {}).get("content", {}).get("application/json")
    return _type(media["schema"]) if media else "undefined"


def _parameter(schema: Schema) -> str:
    """As `_type`; a parameter that may be null is one that may be left out."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    return " | ".join(_type(kind) for kind in kinds)


def _type(schema: Schema) -> str:
    match schema:
        case {"$ref": reference}:
            written = _name(reference.removeprefix(_REFERENCE))
        case {"const": value}:
            written = _literals([value])[0]
        case {"enum": values}:
            written = " | ".join(_literals(values))
        case {"anyOf": kinds} | {"oneOf": kinds}:
            written = " | ".join(dict.fromkeys(_type(kind) for kind in kinds))
        case {"type": "array", "prefixItems": items}:
            written = f"[{', '.join(_type(item) for item in items)}]"
        case {"type": "array", "items": item}:
            inner = _type(item)
            written = f"({inner})[]" if " | " in inner else f"{inner}[]"
        case {"type": "object"}:
            values = schema.get("additionalProperties", True)
            written = f"Record<string, {'Json' if values is True else _type(values)}>"
        case {"type": str(name)} if name in _NAMES:
            written = _NAMES[name]
        case {"type": other}:
            raise ValueError(f"api_types.py does not know the type {other!r}: teach it")
        case _:
            written = "Json"
    return written


def _name(name: str) -> str:
    """A model's name as an identifier.

    FastAPI writes `Silence-Input` where the two directions differ, and the whole path of modules where two models
    have one name: their last module tells them apart.
    """
    parts = name.split("__")[-2:]
    short = "".join(part[:1].upper() + part[1:] for part in parts) if len(parts) > 1 else name
    return re.sub(r"\W+", "", short)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_]\w*", key) else f'"{key}"'


def _literals(values: Sequence[Any]) -> list[str]:
    return [f'"{value}"' if isinstance(value, str) else str(value).lower() for value in values]


def _comment(text: str, indent: str) -> str:
    line = " ".join(text.split("\n\n", maxsplit=1)[0].split()).replace("`", "").replace("*/", "* /")
    return f"{indent}/** {line} */\n" if line else ""


if __name__ == "__main__":
    sys.exit(main())
