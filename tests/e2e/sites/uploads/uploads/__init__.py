"""A REST API that takes files and sends them on to an object store."""
