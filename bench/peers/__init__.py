"""A Django project with the packages that people use where they have not this product, to measure it beside them.

One view that does nothing, three ways to be let in. Nothing is recorded here, which the product does for each request.
"""
