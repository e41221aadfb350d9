"""The Django admin as Django makes it, on the product's tables: what the console's pages are measured beside."""
