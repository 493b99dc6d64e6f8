"""The HTTP surface. Only `problems` knows how an error becomes a status."""
