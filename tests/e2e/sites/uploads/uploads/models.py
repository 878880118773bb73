"""What the site keeps."""

from __future__ import annotations  # the fields' type arguments exist only for the type checker

from django.db import models


class StoredToken(models.Model):
    """An access token of another service."""

    service: models.CharField[str, str] = models.CharField(max_length=40, unique=True)
    value: models.CharField[str, str] = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.service
