"""Called when `distributed` is imported: who may speak to a scheduler, and where its pages are."""

import functools
import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any


def mend(distributed: ModuleType, load: Callable[[], None]) -> None:
    """Have it protect what it starts, as soon as it is there."""
    load()
    settle(distributed)


def settle(distributed: ModuleType) -> None:
    """Do so, once. Raises AttributeError for a version that is built otherwise."""
    import dask.config
    from distributed.node import ServerNode

    from benchtop_batch.dask import dashboard

    if ServerNode.start_http_server is dashboard.start_http_server:
        return
    ServerNode.start_http_server = dashboard.start_http_server
    _with_known_keys(distributed.Client)
    for name in ("submit", "map"):
        _with_a_culprit(distributed.Client, name)
    _with_keys_of_its_own(distributed.LocalCluster)
    shown = dask.config.get("distributed.dashboard.link")
    dask.config.set({"distributed.dashboard.link": dashboard.link(shown)})


def _with_known_keys(client: Any) -> None:
    """A client finds the keys of a scheduler of its session: JupyterLab's panel knows an address alone."""
    upstream = client.__init__

    @functools.wraps(upstream)
    def __init__(self: object, address: object = None, *args: object, **kwargs: object) -> None:  # noqa: N807
        import dask.config

        from benchtop_batch.dask import keys

        if kwargs.get("security") is None:
            where = dask.config.get("scheduler-address", None) if address is None else address
            found = keys.find(where)
            if found is not None:
                kwargs["security"] = found
        upstream(self, address, *args, **kwargs)

    client.__init__ = __init__


def _with_a_culprit(client: Any, name: str) -> None:
    """What cannot be sent is named; upstream says that it "could not serialize object of type LLGExpr"."""
    upstream = getattr(client, name)

    @functools.wraps(upstream)
    def method(self: object, func: Any, *args: Any, **kwargs: Any) -> Any:
        log = logging.getLogger("distributed.protocol.pickle")  # where it prints the whole stack
        was, log.disabled = log.disabled, True
        try:
            return upstream(self, func, *args, **kwargs)
        except TypeError as error:
            if "serialize" not in str(error):
                raise
            from benchtop_batch import unsendable

            why = unsendable.explain(func, args, kwargs)
            raise (unsendable.UnsendableError(why) if why else error) from None
        finally:
            log.disabled = was

    setattr(client, name, method)


def _with_keys_of_its_own(cluster: Any) -> None:
    """Workers on the same node speak by TCP on loopback, which everybody on the node can connect to."""
    upstream = cluster.__init__

    @functools.wraps(upstream)
    def __init__(self: object, *args: object, **kwargs: object) -> None:  # noqa: N807
        alone = kwargs.get("processes") is False and not kwargs.get("scheduler_port")  # in one process
        if kwargs.get("security") is None and kwargs.get("protocol") is None and not alone:
            kwargs["security"] = True
        upstream(self, *args, **kwargs)

    cluster.__init__ = __init__
