"""The host tool of Benchtop: builds, starts, shows and removes the facility on one machine."""
