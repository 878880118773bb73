"""The store: an embedded engine or a ClickHouse server, its schema, and the lock on its folder."""
