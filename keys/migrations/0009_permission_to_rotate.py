from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('keys', '0008_keys_without_their_account'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='apikey',
            options={'permissions': [('copy_apikey', 'Can copy the text of an API key'), ('duplicate_apikey', 'Can duplicate an API key'), ('disable_apikey', 'Can disable an API key'), ('enable_apikey', 'Can enable an API key'), ('revoke_apikey', 'Can revoke an API key'), ('rotate_encryption', 'Can re-encrypt the texts of all API keys'), ('handle_strong_apikey', 'Can create, duplicate and copy live keys with restricted permissions')], 'verbose_name': 'API key'},
        ),
    ]
