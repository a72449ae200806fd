"""Make Slurm's accounting equal to a list of accounts, QOS and people: the command `apply-people`.

Reads JSON on stdin, as the host's tool renders it from accounts/people.yaml, which it has judged:

    {"qos":      [{"name", "priority", "preempt": [name], "preempt_mode", "max_tres_per_user",
                   "max_tres_per_job", "max_jobs_per_user", "max_wall": minutes, "flags": [flag]}],
     "accounts": [{"name", "description", "qos": [name], "max_jobs_per_user", "max_submit_jobs_per_user"}],
     "people":   [{"name", "uid", "accounts": [name], "qos": [name], "limits": {"gpu": 0}, "admin": bool}]}

A person's first account, and an account's first QOS, is what a job gets that names none. Adds,
changes and removes what differs and prints one line for each difference, so that a second run with
the same list prints "nothing to change". The whole list is read before anything is touched.

`apply-people --first-start` runs before slurmctld: see first_start.py.
"""


class Refused(Exception):  # noqa: N818  # what it is, not that it is an error
    """A list that must not be applied, or a step that failed; the message is a sentence for an admin."""
