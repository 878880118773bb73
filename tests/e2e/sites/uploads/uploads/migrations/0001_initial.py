"""The table of tokens, with the one that the store takes."""

import os
from typing import ClassVar

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def keep_token(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    """Store the token, as an operator would have."""
    apps.get_model("uploads", "StoredToken").objects.create(service="store", value=os.environ["SITE_TOKEN"])


class Migration(migrations.Migration):
    """The first one."""

    initial = True
    dependencies: ClassVar = []
    operations: ClassVar = [
        migrations.CreateModel(
            name="StoredToken",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("service", models.CharField(max_length=40, unique=True)),
                ("value", models.CharField(max_length=200)),
            ],
        ),
        migrations.RunPython(keep_token, migrations.RunPython.noop),
    ]
