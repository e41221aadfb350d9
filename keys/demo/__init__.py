"""Demo data: merchant accounts, genuine keys and their requests, for trying the product and for measuring it.

`story` is the standard set, small and hand-made; `bulk` makes any number of rows. Both compose accounts, keys and
history through the domain (`keys.merchants`, `keys.lifecycle`), count requests by the rules of
`keys.gateway.ingest`, and write the rows of the past in bulk (`tables`). Nothing in the product imports this package
but the commands `seed_demo` and `demo_traffic`.
"""
