"""The demo shop as a Django project."""
