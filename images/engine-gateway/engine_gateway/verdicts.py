"""How a request can end other than well: each with a sentence for the hub and its log."""

from benchtop_minter.people import Refused

__all__ = ["STATUS", "Malformed", "Missing", "Refused", "Taken", "Unavailable"]


class Malformed(Exception):  # noqa: N818  # what it is, not that it is an error
    """A request that says nothing we understand."""


class Missing(Exception):  # noqa: N818
    """No such container or image, or one of somebody else's: nobody is to learn which."""


class Taken(Exception):  # noqa: N818
    """It cannot be done in the state that things are in: the name is in use, the container runs."""


class Unavailable(Exception):  # noqa: N818
    """Nothing can be done now: the engine or the directory does not answer, or all places are taken."""


STATUS: dict[type[Exception], int] = {
    Malformed: 400,
    Refused: 403,
    Missing: 404,
    Taken: 409,
    Unavailable: 503,
}
