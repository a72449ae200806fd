"""What this facility adds to JupyterHub: who somebody is, what they may use, and their session as a job."""
