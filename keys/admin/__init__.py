"""The Django admin: everything to look at, in lists that stay fast, and the console's own steps to take.

Nothing is edited here: state changes by keys/lifecycle.py and keys/merchants.py alone, and who may take which step is
decided by keys/access.py, as in the console.
"""
