"""The environments on /software: what their recipes say, and how they are built and published."""
