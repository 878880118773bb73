"""From finished scopes to OTLP: everything here runs on the sending thread, never on the application's."""
