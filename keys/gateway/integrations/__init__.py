"""For the platform's own API: keys are verified inside its process, and each request is recorded as it was answered.

`visits.py` is one request to that API; `django.py`, `rest_framework.py` and `asgi.py` are the ways in. The application
has `keys` installed, on the product's database. docs/applications.md describes it.
"""
