"""The nouns of a federation: participants, datasets, agreements, disclosures."""
