"""From finished records to OTLP: all of it runs on the sending thread, never on the application's threads."""
