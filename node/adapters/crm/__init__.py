"""The company's CRM: databases and files, read-only."""
