"""All that touches the inside of JupyterHub or batchspawner, and nothing else: docs/reference/upstream.md."""
