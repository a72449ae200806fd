"""The configuration of the services: checked as they would read it, made live, undone where that fails."""
