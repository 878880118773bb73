"""The tables of this site."""
