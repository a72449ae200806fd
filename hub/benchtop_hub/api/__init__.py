"""What programs and jobs ask of a hub."""
