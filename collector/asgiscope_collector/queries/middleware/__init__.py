"""Middleware: each chain, its hops, and the hops of each route."""
