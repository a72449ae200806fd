"""HTMap on a site's pool with nothing set: its delivery, its defaults, what it says, and its defects.

HTMap is used as it is. What is here is put into it when it is imported (`benchtop_batch.at_import`); each
difference is listed in docs/reference/upstream.md.
"""
