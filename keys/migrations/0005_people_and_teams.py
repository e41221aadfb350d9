"""People, teams and invitations; and a role for each person who was here before there were roles.

The roles' permissions are given to their groups after the migration, by keys.access.
"""

import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
import keys.identifiers
from django.conf import settings
from django.db import migrations, models


def give_roles(apps, schema_editor):
    """Who used the Django admin goes on as an Operator, anybody else as a Viewer; superusers are Administrators."""
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    users = apps.get_model("keys", "User").objects.using(schema_editor.connection.alias)
    roles = {name: groups.get_or_create(name=name)[0] for name in ("Viewer", "Operator", "Administrator")}
    for user in users.filter(is_superuser=False, is_active=True):
        user.groups.add(roles["Operator" if user.is_staff else "Viewer"])


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('keys', '0004_history_of_the_platform'),
    ]

    operations = [
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.UUIDField(default=keys.identifiers.new_id, editable=False, primary_key=True, serialize=False)),
                ('email', models.EmailField(max_length=254)),
                ('role', models.CharField(max_length=16)),
                ('token_digest', models.BinaryField(max_length=32, unique=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('expires_at', models.DateTimeField()),
                ('accepted_at', models.DateTimeField(editable=False, null=True)),
                ('withdrawn_at', models.DateTimeField(editable=False, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.UUIDField(default=keys.identifiers.new_id, editable=False, primary_key=True, serialize=False)),
                ('role', models.CharField(choices=[('viewer', 'Viewer'), ('developer', 'Developer'), ('owner', 'Owner')], max_length=16)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                'permissions': [('manage_team', 'Can invite people to the team of a merchant account and change it')],
            },
        ),
        migrations.AlterModelOptions(
            name='apikey',
            options={'permissions': [('copy_apikey', 'Can copy the text of an API key'), ('duplicate_apikey', 'Can duplicate an API key'), ('disable_apikey', 'Can disable an API key'), ('enable_apikey', 'Can enable an API key'), ('revoke_apikey', 'Can revoke an API key'), ('handle_strong_apikey', 'Can create, duplicate and copy live keys with restricted permissions')], 'verbose_name': 'API key'},
        ),
        migrations.AlterModelOptions(
            name='merchant',
            options={'permissions': [('disable_merchant', 'Can disable a merchant account'), ('enable_merchant', 'Can enable a merchant account')]},
        ),
        migrations.AlterModelOptions(
            name='user',
            options={'permissions': [('manage_people', 'Can invite, deactivate and give roles to the people of the platform')], 'verbose_name': 'user', 'verbose_name_plural': 'users'},
        ),
        migrations.RemoveConstraint(
            model_name='historyentry',
            name='history_action_is_known',
        ),
        migrations.AddField(
            model_name='user',
            name='session_generation',
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
        migrations.AlterField(
            model_name='historyentry',
            name='action',
            field=models.CharField(choices=[('merchant.created', 'Merchant account created'), ('merchant.updated', 'Merchant account changed'), ('merchant.disabled', 'Merchant account disabled'), ('merchant.enabled', 'Merchant account enabled'), ('key.created', 'Created'), ('key.duplicated', 'Duplicated'), ('key.updated', 'Changed'), ('key.disabled', 'Disabled'), ('key.enabled', 'Enabled'), ('key.revoked', 'Revoked'), ('key.copied', 'Key copied'), ('person.invited', 'Person invited'), ('person.uninvited', 'Invitation withdrawn'), ('person.joined', 'Invitation accepted'), ('person.role_changed', 'Role changed'), ('person.deactivated', 'Person deactivated'), ('person.reactivated', 'Person reactivated'), ('person.removed', 'Person removed'), ('secrets.rotated', 'Encryption rotated')], max_length=24),
        ),
        migrations.AddConstraint(
            model_name='historyentry',
            constraint=models.CheckConstraint(condition=models.Q(('action__in', ['merchant.created', 'merchant.updated', 'merchant.disabled', 'merchant.enabled', 'key.created', 'key.duplicated', 'key.updated', 'key.disabled', 'key.enabled', 'key.revoked', 'key.copied', 'person.invited', 'person.uninvited', 'person.joined', 'person.role_changed', 'person.deactivated', 'person.reactivated', 'person.removed', 'secrets.rotated'])), name='history_action_is_known'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('email'), condition=models.Q(('email', ''), _negated=True), name='user_email_once', violation_error_message='Somebody has this e-mail address already.'),
        ),
        migrations.AddField(
            model_name='invitation',
            name='invited_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='invitation',
            name='merchant',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='invitations', to='keys.merchant'),
        ),
        migrations.AddField(
            model_name='membership',
            name='merchant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='keys.merchant'),
        ),
        migrations.AddField(
            model_name='membership',
            name='user',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='invitation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('merchant', None), ('role__in', ['viewer', 'operator', 'administrator'])), models.Q(('merchant__isnull', False), ('role__in', ['viewer', 'developer', 'owner'])), _connector='OR'), name='invitation_role_is_known'),
        ),
        migrations.AddConstraint(
            model_name='invitation',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('email'), models.F('merchant'), condition=models.Q(('accepted_at', None), ('merchant__isnull', False), ('withdrawn_at', None)), name='invitation_once_to_a_team'),
        ),
        migrations.AddConstraint(
            model_name='invitation',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('email'), condition=models.Q(('accepted_at', None), ('merchant', None), ('withdrawn_at', None)), name='invitation_once_to_all'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.UniqueConstraint(fields=('user', 'merchant'), name='membership_once'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['viewer', 'developer', 'owner'])), name='membership_role_is_known'),
        ),
        migrations.RunPython(give_roles, migrations.RunPython.noop),
    ]
