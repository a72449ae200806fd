"""What stands between the hubs and the container engine.

A hub shows its cell's certificate and speaks Docker's API. Each request is judged, and what is granted is
asked of the engine in words of this program's own: nothing that a hub wrote reaches the engine but values
that were looked at one by one.
"""
