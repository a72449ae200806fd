"""The text of a job: a site's own script, with ours before its first command."""

import pytest

from benchtop_hub.backends.slurm.script import FIRST, begin

SHELLS = ["#!/bin/bash", "#!/usr/bin/env bash", "#!/bin/bash -l", "#! /bin/sh", "#!/bin/zsh -f"]
NONE = ["", "\n#!/bin/bash\n", "echo\n", "#!/usr/bin/python3\n", "#!/usr/bin/env python3\n", "#!bash\n"]


@pytest.mark.parametrize("shell", SHELLS)
def test_ours_is_before_the_first_command_and_after_what_sbatch_reads(shell):
    head = f"{shell}\n# of the site\n#SBATCH --constraint=a\n\n#SBATCH --comment=b\n"
    assert (
        begin(f"{head}module load x\n#SBATCH too late\n") == f"{head}{FIRST}module load x\n#SBATCH too late\n"
    )


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_script_of_a_shell_is_refused(text):
    with pytest.raises(ValueError, match=r"^batch_script: its first line must name a shell, like .*\.$"):
        begin(text)
