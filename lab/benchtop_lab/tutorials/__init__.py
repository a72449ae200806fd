"""The facility's tutorials: notebooks that JupyterLab lists, and copies into a home when somebody opens one.

A copy is its owner's: nothing here ever writes to a file that exists. Each holds in its metadata which
version of the tutorial it was made from, so that a newer one can be offered beside it, with what differs.

    notebooks.py  what a tutorial says of itself, and what of a notebook counts as its version
    copies.py     the copies in a home: which there are, a new one, how one differs from the facility's
    shelf.py      both, as JupyterLab's list shows them
    handlers.py   what JupyterLab's page asks; nothing is loaded or read before
"""
