"""One table."""

from django.db import models


class Order(models.Model):
    """An order."""

    name: "models.CharField[str, str]" = models.CharField(max_length=20)

    def __str__(self) -> str:
        return self.name
