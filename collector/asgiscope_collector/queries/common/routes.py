"""Routes as the store has them."""

import re


def stored_route(route: str) -> str:
    """Return a route as it is stored, which is with a slash before it, however its framework writes it.

    The same as `http_route_of` in store/fragments.py, for a route that somebody asks for.
    """
    if not re.match(r"[^/*]", route):
        return route
    bare = re.sub(r"^\^/?", "", route)
    return f"/{bare}"
