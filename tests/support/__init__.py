"""What tests and benchmarks share: people at work on the facility, and ways to look at it and to break it."""
