"""How long the console's pages take, with a thousand rows and with a million: `python -m bench pages`."""
