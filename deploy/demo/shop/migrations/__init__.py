"""The shop's schema."""
