"""A real shop as three companies with common customers (`docs/tutorial-figures.md`)."""
