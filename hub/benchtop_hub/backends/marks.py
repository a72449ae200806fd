"""By what a cell knows that a job is a session of its own, and whose.

A job's name is whatever its owner writes. So the job of a session carries a mark that only its cell can
make, for this one owner: with its cookie secret, which no other cell or facility has. Everybody may read it.
On somebody else's job it is worth nothing: what is done to a job is done in the name of the owner that the
mark says, and the scheduler lets nobody end another's. Who puts it on another job of their own calls that a
session.
"""

import hmac

PURPOSE = "benchtop session"  # the secret signs cookies too: none of them begins like this


def mark(secret: bytes, cell: str, owner: str) -> str:
    """What the job of a session of `owner` in `cell` carries: CELL:OWNER:SIGNATURE."""
    said = f"{PURPOSE}\n{cell}\n{owner}".encode()
    return f"{cell}:{owner}:{hmac.new(secret, said, 'sha256').hexdigest()[:32]}"


def owner_of(found: str) -> str:
    """Whose session a mark calls a job, whoever made it; "" for what is no mark."""
    match found.split(":"):
        case [_, owner, _]:
            return owner
    return ""


def is_ours(found: str, secret: bytes, cell: str, owner: str) -> bool:
    """Was the job of `owner` that carries `found` submitted by this cell?"""
    return hmac.compare_digest(found.encode(), mark(secret, cell, owner).encode())
