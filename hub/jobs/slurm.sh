#!/bin/bash
# The job of a session on Slurm, with batchspawner's placeholders: docs/how-to/bring-your-hub-configuration.md.
# What was granted goes to sbatch as options of its command line, which win over lines like the next one.
{% if options %}#SBATCH {{ options }}
{% endif %}
{% if prologue %}
if [ -r /etc/benchtop/modules.sh ]; then . /etc/benchtop/modules.sh; fi  # `module load` in a prologue
{% endif %}
{{ prologue }}
{% if epilogue %}
trap 'kill -TERM "$!" 2>/dev/null' TERM  # who ends the job may tell this shell alone; the session saves its work
{{ srun }} {{ cmd }} &
while kill -0 "$!" 2>/dev/null; do wait "$!"; done
wait "$!"; status=$?
{{ epilogue }}
exit "$status"
{% else %}
exec {{ srun }} {{ cmd }}
{% endif %}
