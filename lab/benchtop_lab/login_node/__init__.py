"""A session on the login node: what the hub, who comes by SSH as the person, can have done there.

The certificate that the hub shows is good for `python -m benchtop_lab.login_node` alone, with one of these
words:

    start     reads what is to be started as JSON from standard input, starts it, prints its number
    list      prints every session on this node, one a line: number|state|node|mark|reason
    stop N    ends a session of the person's own, or clears away what is left of one

Each session is looked after by a process of its own (keeper), which notes what became of it (records).
Nothing but the standard library: it runs for each question of the hub.
"""
