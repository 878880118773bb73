"""What the magazine keeps."""

from __future__ import annotations  # the fields' type arguments exist only for the type checker

from django.db import models


class Author(models.Model):
    """Who writes."""

    name: models.CharField[str, str] = models.CharField(max_length=40)

    def __str__(self) -> str:
        return self.name


class Article(models.Model):
    """What is written."""

    title: models.CharField[str, str] = models.CharField(max_length=80, unique=True)
    author: models.ForeignKey[Author, Author] = models.ForeignKey(Author, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return self.title
