"""The server's side of JupyterLab's Jobs panel: labextension/static/jobs.js.

    board.py     what is shown of the person's jobs
    handlers.py  what the panel asks

No batch system is asked, and nothing that asks one is loaded, before the panel is looked at.
"""
