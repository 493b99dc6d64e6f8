"""The policy engines: Rego in process, or an OPA server."""
