"""Authors and articles, with a few of each."""

from typing import ClassVar

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def write(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    """Store three articles by two authors."""
    author, article = apps.get_model("magazine", "Author"), apps.get_model("magazine", "Article")
    ann, bob = author.objects.create(name="Ann"), author.objects.create(name="Bob")
    for title, by in (("Loops", ann), ("Threads", bob), ("Queues", ann)):
        article.objects.create(title=title, author=by)


class Migration(migrations.Migration):
    """The first one."""

    initial = True
    dependencies: ClassVar = []
    operations: ClassVar = [
        migrations.CreateModel(
            name="Author",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=40)),
            ],
        ),
        migrations.CreateModel(
            name="Article",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("title", models.CharField(max_length=80, unique=True)),
                ("author", models.ForeignKey("magazine.Author", on_delete=models.CASCADE)),
            ],
        ),
        migrations.RunPython(write, migrations.RunPython.noop),
    ]
