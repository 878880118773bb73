"""What the sites' pages are made of."""

from typing import Any

from django.db import models


class Author(models.Model):
    """Somebody who has written books."""

    name: Any = models.CharField(max_length=100)

    def __str__(self) -> str:
        return str(self.name)


class Book(models.Model):
    """A book of one author."""

    title: Any = models.CharField(max_length=100)
    author: Any = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")

    def __str__(self) -> str:
        return str(self.title)


class Visit(models.Model):
    """Something that requests write."""

    note: Any = models.CharField(max_length=100)

    def __str__(self) -> str:
        return str(self.note)
