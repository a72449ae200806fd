"""The queue by squeue."""

from datetime import UTC, datetime

from benchtop_hub.backends import marks
from benchtop_hub.backends.queue import Job

# Of squeue. The comment last: it is whatever the job's owner wrote. No %u: where the hub runs, nobody's name
# is known, and squeue says a number. No more of a comment than a mark can have.
FORMAT = "%i|%T|%B|%P|%Q|%S|%r|%.150k"
FIELDS = FORMAT.count("|") + 1


def parse(listing: str) -> dict[str, Job]:
    """The jobs by number. The first line of a listing is what every true line begins with; then comes FORMAT.

    Whatever else is there is the rest of somebody's comment, who may have written lines like these into it.
    Raises ValueError for an answer that is cut off, or none of squeue's at all: by it, jobs would be gone
    that are not.
    """
    prefix, *lines, rest = listing.split("\n")
    if rest:
        raise ValueError(f"half a line of squeue: {rest!r}")
    if lines and not lines[0].startswith(prefix):
        raise ValueError(f"no answer of squeue: {lines[0]!r}")
    jobs = {}
    for line in lines:
        if line.startswith(prefix):
            fields = [field.strip() for field in line.removeprefix(prefix).split("|", FIELDS - 1)]
            if len(fields) < FIELDS:
                raise ValueError(f"half a line of squeue: {line!r}")
            number, state, node, partition, priority, start, reason, mark = fields
            jobs[number] = Job(
                state,
                "" if node == "n/a" else node,
                "" if reason == "None" else reason,
                partition=partition,
                priority=int(priority) if priority.isdecimal() else 0,
                expected=_time(start),
                owner=marks.owner_of(mark),
                mark=mark,
            )
    return jobs


def _time(said: str) -> datetime | None:
    try:
        return datetime.fromisoformat(said).replace(tzinfo=UTC)  # commands.run asks for it
    except ValueError:
        return None  # N/A
