"""Jobs that are being ended: the hub goes on with it when nobody waits for it any more."""

import asyncio
import time
from logging import Logger

from benchtop_hub.backends.backend import TROUBLES, AnyBackend, Denied
from benchtop_hub.backends.queue import Unknown

END_PATIENCE = 20.0  # seconds until a job that was cancelled should be gone, whatever it still had to save

under_way: dict[str, "asyncio.Task[bool]"] = {}  # what is being ended, by its number


def end(backend: AnyBackend, person: str, number: str, log: Logger) -> "asyncio.Task[bool]":
    """End a job, and see to it that it ends: True when it did. A job that is being ended is ended once."""
    ending = under_way.get(number)
    if ending is None or ending.done():
        ending = under_way[number] = asyncio.create_task(_end(backend, person, number, log))
        ending.add_done_callback(lambda _: under_way.pop(number, None))
    return ending


async def _end(
    backend: AnyBackend, person: str, number: str, log: Logger, *, patience: float = 3600.0
) -> bool:
    """Cancel until the job is gone: a scheduler that is away for a while must not cost a leaked job."""
    begin = time.monotonic()
    asked = insisted = False
    while time.monotonic() < begin + patience:
        try:
            if not asked:
                if not await backend.cancel(number, person):
                    return True
                asked = True
            job = await backend.queue.job(number, person, max_age=0.0)
            if job is None or not (job.alive or job.lingers):
                return True
            if not insisted and time.monotonic() > begin + END_PATIENCE:
                log.warning("job does not end user=%s job=%s: insisting", person, number)
                await backend.insist(number, person)
                insisted = True
            await asyncio.sleep(0.2)
        except Denied as denied:  # asking again would not make it theirs
            log.warning("job not ended user=%s job=%s: not theirs: %s", person, number, denied)
            return False
        except (*TROUBLES, Unknown) as trouble:
            log.warning("cancel failed user=%s job=%s: %s", person, number, trouble)
            await asyncio.sleep(2)
    log.error("job leaked user=%s job=%s: still there", person, number)
    return False
