"""Heat maps of school buses' real breakdowns (`docs/tutorial-figures.md`)."""
