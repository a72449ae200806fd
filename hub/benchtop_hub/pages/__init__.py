"""What people see of a hub."""
