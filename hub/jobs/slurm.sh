#!/bin/bash
# The job of a session on Slurm, with batchspawner's placeholders: docs/how-to/bring-your-hub-configuration.md.
# What was granted goes to sbatch as options of its command line, which win over lines like the next one.
{% if options %}#SBATCH {{ options }}
{% endif %}
{{ prologue }}
{% if epilogue %}
trap : TERM  # who ends the job tells all of it; this shell waits until the session has saved its work
{{ srun }} {{ cmd }}
status=$?
{{ epilogue }}
exit "$status"
{% else %}
exec {{ srun }} {{ cmd }}
{% endif %}
