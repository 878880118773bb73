"""The rules file: models, loading, reloading."""
