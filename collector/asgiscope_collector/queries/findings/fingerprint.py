"""The id of a finding: independent of its line, as long as kind, service, function and file stay."""

from hashlib import sha256


def finding_id(kind: str, service: str, function: str, file: str) -> str:
    """Return 16 hexadecimal digits; the schema computes the same id for each span (`otel_traces.FindingId`)."""
    return sha256(f"{kind}\0{service}\0{function}\0{file}".encode()).hexdigest()[:16]
