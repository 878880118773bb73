"""Detection: what is worth a finding, and how often one is reported."""
