"""Indexes for a long history: by what happened, by who did it, what happened to an account itself, and to
the platform: of rows without an account, PostgreSQL knows no order by the index of the accounts.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("keys", "0009_permission_to_rotate"),
    ]

    operations = [
        migrations.AddIndex(
            "historyentry",
            models.Index(fields=["merchant", "action", "-at", "-id"], name="history_by_action"),
        ),
        migrations.AddIndex(
            "historyentry",
            models.Index(fields=["merchant", "actor_name", "-at", "-id"], name="history_by_actor"),
        ),
        migrations.AddIndex(
            "historyentry",
            models.Index(
                fields=["-at", "-id"],
                condition=models.Q(("merchant", None)),
                name="history_of_the_platform",
            ),
        ),
        migrations.AddIndex(
            "historyentry",
            models.Index(
                fields=["merchant", "-at", "-id"],
                condition=models.Q(("key", None)),
                name="history_without_key",
            ),
        ),
    ]
