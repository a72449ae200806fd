"""The life of a session, whoever runs it."""
