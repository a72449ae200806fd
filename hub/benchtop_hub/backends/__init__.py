"""Who runs a session: each backend is one batch system, or one host."""
