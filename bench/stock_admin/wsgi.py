"""The application that the server is started with."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.stock_admin.settings"

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
