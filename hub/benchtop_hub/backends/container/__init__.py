"""Sessions in containers of their own, on the facility's container engine."""
