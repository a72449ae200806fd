"""What runs as the session: JupyterLab on a port of its own, and what tells people when it ends."""
