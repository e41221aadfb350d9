"""What the verifier promises, measured: its speed, its record, the death of a key: `python -m bench gateway`."""
