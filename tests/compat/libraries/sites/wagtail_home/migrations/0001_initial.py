"""The page's table: what it inherits from has migrations, so it needs one."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Make it."""

    dependencies = (("wagtailcore", "__latest__"),)
    operations = (
        migrations.CreateModel(
            name="HomePage",
            fields=[
                (
                    "page_ptr",
                    models.OneToOneField(
                        auto_created=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        parent_link=True,
                        primary_key=True,
                        serialize=False,
                        to="wagtailcore.page",
                    ),
                )
            ],
            options={"abstract": False},
            bases=("wagtailcore.page",),
        ),
    )
