"""Django's own parts: one file each."""
