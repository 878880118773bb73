"""Middleware chains and their hops, and the hops of each route."""
