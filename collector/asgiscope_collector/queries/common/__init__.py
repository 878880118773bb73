"""What all queries share: range, scope, resolution, wording."""
