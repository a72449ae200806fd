"""The minter of one cluster: holds its signing keys, so that no hub has to.

A hub asks over mutual TLS for a credential of one person; it gets one that lives minutes.
"""
