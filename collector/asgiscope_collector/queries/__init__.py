"""Queries: SQL in, API models out; one module per question. Only this package and `store` contain SQL."""
