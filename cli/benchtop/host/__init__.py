"""The machine itself: whether it will do, its container engine, its packages and its trust."""
