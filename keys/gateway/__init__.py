"""What gateways, applications and merchants ask: may this key do that? No templates, sessions or forms.

`http.py` is the WSGI application; `calls.py`, `verify.py` and `reports.py` are its calls; `directory.py` finds keys and
`recorder.py` writes requests down, which `drain.py` and `ingest.py` take into the database later.
"""
