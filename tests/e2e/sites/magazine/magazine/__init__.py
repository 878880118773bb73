"""A magazine: articles and their authors, read through every kind of view."""
