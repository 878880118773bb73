"""What takes OTLP in: decoded, validated, acknowledged once it is on the disk."""
