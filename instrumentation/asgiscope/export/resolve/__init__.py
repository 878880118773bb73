"""Resolution of a record to the attributes of its span."""
