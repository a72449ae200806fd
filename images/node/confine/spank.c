/* Slurm's side of the confinement: slurmd has each batch job of somebody confined run by `confine-job`.
 *
 * In slurmstepd, so that no option or variable of a job leaves it out, whoever submitted the job and from where.
 * What else a job could run on a node (a step of srun, of which --task-prolog and --task-epilog are run by
 * slurmstepd itself, the shell of salloc) is refused.
 *
 * slurm/plugstack.conf takes it in on nodes, as "required": where it fails, nothing runs.
 */
#include <slurm/slurm.h>
#include <slurm/spank.h>
#include <stdint.h>
#include <unistd.h>

#include "people.h"

SPANK_PLUGIN(confine, 1);

#define PROGRAM "/usr/local/libexec/benchtop/confine-job"

/* As is_confined, of the owner of this job; -1 also where Slurm does not say whose it is. */
static int owner_is_confined(spank_t spank)
{
	uid_t uid;

	return spank_get_item(spank, S_JOB_UID, &uid) == ESPANK_SUCCESS ? is_confined(uid) : -1;
}

int slurm_spank_init(spank_t spank, int argc, char **argv)
{
	uint32_t step;

	if (spank_context() != S_CTX_REMOTE || owner_is_confined(spank) == 0)
		return ESPANK_SUCCESS;
	/* A batch job that failed here would take the node out of service; it is confined, or refused, below. */
	if (spank_get_item(spank, S_JOB_STEPID, &step) == ESPANK_SUCCESS &&
	    (step == SLURM_BATCH_SCRIPT || step == SLURM_EXTERN_CONT))
		return ESPANK_SUCCESS;
	slurm_error("Your account runs batch jobs alone (sbatch): srun and salloc are not available to it here.");
	return -1;
}

/* As the owner, just before their program is executed. */
int slurm_spank_task_init(spank_t spank, int argc, char **argv)
{
	const char *words[] = {PROGRAM};
	int confined = owner_is_confined(spank);

	/* By which somebody submitted it from elsewhere: sbatch hands on whatever begins with SLURM_. Commands in the
	 * job would show it, and fail when it has ended, in place of being vouched for by the node. */
	spank_unsetenv(spank, "SLURM_JWT");
	if (confined == 0)
		return ESPANK_SUCCESS;
	if (confined < 0) {
		slurm_error("This node cannot tell whose jobs are confined (" LIST "), so it runs none.");
		_exit(69);
	}
	if (spank_prepend_task_argv(spank, 1, words) != ESPANK_SUCCESS) {
		slurm_error("The job cannot be confined, so it does not run.");
		_exit(69);
	}
	return ESPANK_SUCCESS;
}
