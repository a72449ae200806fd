"""Making Slurm's accounting equal to the list."""

import pwd
import time
from collections import defaultdict
from pathlib import Path

from slurm_people import Refused
from slurm_people.sacctmgr import Changes, change, cleared, in_words, run, set_words, show
from slurm_people.wanted import Wanted, in_order

# One file a person: what slurmd gives to a job that brings no environment (GetEnvTimeout=0).
ENVIRONMENTS = Path("/var/lib/slurm/slurmctld/env_cache")
PATH = "/usr/local/bin:/usr/bin:/bin"
ACCOUNT = ("MaxJobs", "MaxSubmit")  # what an account says of each of its people, as sacctmgr shows it
LISTS = ("Preempt", "MaxTRESPU", "MaxTRES", "Flags")  # of a QOS: their order means nothing
COMPARED = ("QOS", "DefaultQOS", "MaxTRES")  # of a person in an account
END_OF_JOBS = 30  # seconds that the jobs of a person who loses an account may take to end: KillWait and some


def apply_qos(wanted: Wanted, changes: Changes) -> None:
    """Make and change QOS; removal comes last of all (remove_rest)."""
    columns = list(next(iter(wanted.qos.values())).settings) if wanted.qos else []
    present = {row["Name"]: row for row in show("qos", "Name", *columns)}
    new = [name for name in wanted.qos if name not in present]
    if new:
        change("add", "qos", ",".join(new))  # all names first: they may preempt each other
        present |= {row["Name"]: row for row in show("qos", "Name", *columns) if row["Name"] in new}
        changes.reread = True
    for name, qos in wanted.qos.items():
        before = {key: present[name][key] for key in columns}
        before |= {key: in_order(before[key].split(",")) for key in LISTS}
        different = {key: value for key, value in qos.settings.items() if before[key] != value}
        if different:
            change("modify", "qos", name, "set", *set_words(before, different))
        if name in new:
            changes.say(f"QOS {name}: added")
        elif different:
            changes.say(f"QOS {name}: {in_words(before, different)}")


def apply_accounts(wanted: Wanted, cluster: str, changes: Changes) -> None:
    """Make and change accounts."""
    present = {row["Account"]: row["Descr"] for row in show("account", "Account", "Descr")}
    linked = {
        row["Account"]: row
        for row in show(
            f"assoc cluster={cluster} woplimits", "Account", "User", "QOS", "DefaultQOS", *ACCOUNT
        )
        if not row["User"]
    }
    for name, account in wanted.accounts.items():
        qos, where = in_order(account.qos), f"cluster={cluster}"
        grants = (f"qos={qos}", f"defaultqos={account.qos[0]}")
        if name not in linked:
            limits = [f"{key}={value}" for key, value in account.settings.items() if value]
            change("add", "account", name, where, f"description={account.description}", *grants, *limits)
            changes.say(f"account {name}: added")
            changes.reread = True
            continue
        if present[name].casefold() != account.description.casefold():  # Slurm keeps it in lower case
            change("modify", "account", name, "set", f"description={account.description}")
            changes.say(f"account {name}: description → {account.description}")
        if (in_order(linked[name]["QOS"].split(",")), linked[name]["DefaultQOS"]) != (qos, account.qos[0]):
            change("modify", "account", name, where, "set", *grants)
            changes.say(f"account {name}: QOS → {qos}")
        before = {key: linked[name][key] for key in ACCOUNT}
        different = {key: value for key, value in account.settings.items() if before[key] != value}
        if different:
            change("modify", "account", name, where, "set", *set_words(before, different))
            changes.say(f"account {name}: {in_words(before, different)}")


def apply_associations(wanted: Wanted, cluster: str, changes: Changes) -> set[str]:
    """Make and change people's associations, one for each of their accounts; who was there before."""
    rows = show(f"assoc cluster={cluster} woplimits", "Account", "User", *COMPARED)
    present = {(row["User"], row["Account"]): row for row in rows if row["User"]}
    # sacctmgr takes many names at once, and each call costs a tenth of a second: what is the same
    # for several people is said once.
    new: dict[tuple[str, ...], list[str]] = defaultdict(list)
    different: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for person in wanted.people.values():
        for name in person.accounts:
            default = wanted.accounts[name].qos[0]
            qos = in_order({*wanted.accounts[name].qos, *person.qos})
            row = present.get((person.name, name), dict.fromkeys(COMPARED, ""))
            most = cleared("MaxTRES", person.max_tres, row["MaxTRES"])
            settings = (name, f"qos={qos}", f"defaultqos={default}", *([f"maxtres={most}"] if most else []))
            if (person.name, name) not in present:
                new[settings].append(person.name)
            elif [in_order(row[key].split(",")) for key in COMPARED] != [qos, default, person.max_tres]:
                different[settings].append(person.name)
    for (account, *values), people in new.items():
        change("add", "user", f"name={','.join(people)}", f"account={account}", f"cluster={cluster}", *values)
        for who in people:
            changes.say(f"{who}: may use account {account}")
    for (account, *values), people in different.items():
        where = (f"name={','.join(people)}", f"account={account}", f"cluster={cluster}")
        change("modify", "user", "where", *where, "set", *values)
        for who in people:
            changes.say(f"{who}: account {account}: {', '.join(values)}")
    return {user for user, _ in present}


def apply_users(wanted: Wanted, before: set[str], changes: Changes) -> None:
    """Set what belongs to a person whatever the account. before: who is not new."""
    users = {row["User"]: row for row in show("user", "User", "DefaultAccount", "AdminLevel")}
    different: dict[str, list[str]] = defaultdict(list)
    for person in wanted.people.values():
        if users[person.name]["DefaultAccount"] != person.accounts[0]:
            different[f"defaultaccount={person.accounts[0]}"].append(person.name)
        # Operator: may see, hold and cancel anybody's job and change limits. Not Administrator: a hub
        # can get a token for an admin, and such a token must not be able to stop or reconfigure Slurm.
        level = "Operator" if person.admin else "None"
        if users[person.name]["AdminLevel"] != level:
            different[f"adminlevel={level}"].append(person.name)
    for setting, people in different.items():
        change("modify", "user", "where", f"name={','.join(people)}", "set", setting)
        for who in people:
            if who in before or setting.startswith("adminlevel"):
                changes.say(f"{who}: {setting.replace('=', ' → ')}")


def end_jobs(user: str, account: str = "") -> None:
    """Cancel jobs and wait for their end: an association with a job cannot be removed."""
    end = time.monotonic() + END_OF_JOBS
    cancelled: set[str] = set()
    while jobs := jobs_of(user, account):
        if new := set(jobs) - cancelled:
            run("scancel", *new)
            cancelled |= new
        if time.monotonic() > end:
            raise Refused(f"jobs of {user} do not end: look at squeue, then run this again.")
        time.sleep(0.2)


def jobs_of(user: str, account: str) -> list[str]:
    """The numbers of a person's jobs, of one account or of all.

    Somebody whom the directory no longer knows has no name in the queue: theirs are the jobs
    whose uid is nobody's, and squeue refuses to be asked for their name.
    """
    names = {str(entry.pw_uid): entry.pw_name for entry in pwd.getpwall()}
    known = user in names.values()
    found = []
    for line in run("squeue", "--noheader", "--format=%A|%U|%a").splitlines():
        number, uid, charged = line.split("|")
        if names.get(uid) == (user if known else None) and account in {"", charged}:
            found.append(number)
    return found


def remove_rest(wanted: Wanted, cluster: str, changes: Changes) -> None:
    """Remove who and what is no longer in the list: people, accounts, QOS, in this order."""
    for row in show(f"assoc cluster={cluster}", "User", "Account"):
        user, account = row["User"], row["Account"]
        if user in wanted.people and account not in wanted.people[user].accounts:
            end_jobs(user, account)
            change("delete", "user", f"name={user}", f"account={account}", f"cluster={cluster}")
            changes.say(f"{user}: no longer account {account}")
    for row in show("user", "User"):
        if row["User"] != "root" and row["User"] not in wanted.people:
            end_jobs(row["User"])
            change("delete", "user", f"name={row['User']}")
            changes.say(f"{row['User']}: removed")
    for row in show("account", "Account"):
        if row["Account"] != "root" and row["Account"] not in wanted.accounts:
            change("delete", "account", f"name={row['Account']}")
            changes.say(f"account {row['Account']}: removed")
            changes.reread = True
    for row in show("qos", "Name"):
        if row["Name"] not in wanted.qos:
            change("delete", "qos", f"name={row['Name']}")
            changes.say(f"QOS {row['Name']}: removed")
            changes.reread = True


def apply_environments(wanted: Wanted, folder: Path, changes: Changes) -> None:
    """Write what a job gets that brings no environment; for no-one else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted.people:
        entry = pwd.getpwnam(name)
        values = {
            "HOME": entry.pw_dir,
            "USER": name,
            "LOGNAME": name,
            "SHELL": entry.pw_shell,
            "PATH": PATH,
            "LANG": "C.UTF-8",
        }
        text = "".join(f"{key}={value}\n" for key, value in values.items())
        target = folder / name
        if not target.exists() or target.read_text() != text:
            part = folder / f".{name}"
            part.write_text(text)
            part.replace(target)
            changes.say(f"{name}: environment of jobs that bring none")
    for left in folder.iterdir():
        if left.name not in wanted.people:
            left.unlink()


def apply(wanted: Wanted, cluster: str) -> None:
    """Make accounting equal to the list."""
    changes = Changes()
    apply_qos(wanted, changes)
    apply_accounts(wanted, cluster, changes)
    apply_users(wanted, apply_associations(wanted, cluster, changes), changes)
    apply_environments(wanted, ENVIRONMENTS, changes)
    remove_rest(wanted, cluster, changes)
    if changes.reread:
        # a partition remembers accounts and QOS by number, from when it was read
        run("scontrol", "reconfigure")
    if not changes.count:
        print("nothing to change")
