"""From a record to the facts that its span states."""
