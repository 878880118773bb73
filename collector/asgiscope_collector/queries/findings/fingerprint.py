"""The id of a finding: stable while its kind, service, function and file stay, wherever its line moves."""

from hashlib import sha256


def finding_id(kind: str, service: str, function: str, file: str) -> str:
    """Sixteen hexadecimal digits; the schema computes the same for each span (`otel_traces.FindingId`)."""
    return sha256(f"{kind}\0{service}\0{function}\0{file}".encode()).hexdigest()[:16]
