"""The pages. Each module: what it asks, the values it shows, its handlers."""
