"""Normalisation of routes."""

import re


def stored_route(route: str) -> str:
    """Return a route in its stored form, with a leading slash, however its framework writes it.

    The same as `http_route_of` in store/fragments.py, for a route in a request.
    """
    if not re.match(r"[^/*]", route):
        return route
    bare = re.sub(r"^\^/?", "", route)
    return f"/{bare}"
