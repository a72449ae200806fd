/* confine-job PROGRAM ARGUMENT…: run a job's program; of somebody whose jobs are confined, inside the image.
 *
 * Slurm and HTCondor call it as the owner of the job, with the job's own environment, in which anything may be
 * (LD_PRELOAD, PYTHONPATH): so it is static, reads none of it, and hands it on as a file to what confines, which
 * starts with an environment of ours. HTCondor calls it for every job (USER_JOB_WRAPPER): it costs a millisecond.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "people.h"

#define UNAVAILABLE 69
#define PYTHON "/usr/bin/python3"
#define CONFINE "/usr/local/libexec/benchtop/confine"
#define ENVIRONMENT 3 /* the file descriptor by which it is handed on */

static int refuse(const char *why)
{
	fprintf(stderr, "confine-job: %s, so this job does not run.\n", why);
	return UNAVAILABLE;
}

static int hand_on(char **variables)
{
	int file = memfd_create("environment", 0);

	if (file < 0)
		return -1;
	for (; *variables; variables++) {
		size_t size = strlen(*variables) + 1, done = 0;
		while (done < size) {
			ssize_t more = write(file, *variables + done, size - done);
			if (more < 0)
				return -1;
			done += (size_t)more;
		}
	}
	if (file != ENVIRONMENT && dup2(file, ENVIRONMENT) < 0)
		return -1;
	return lseek(ENVIRONMENT, 0, SEEK_SET) < 0 ? -1 : 0;
}

int main(int argc, char **argv, char **variables)
{
	static char *clean[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL};
	char **words;
	int confined, i;

	if (argc < 2)
		return refuse("no program is given");
	confined = is_confined(getuid());
	if (confined < 0)
		return refuse("this node cannot tell whose jobs are confined (" LIST ")");
	if (!confined) {
		execve(argv[1], argv + 1, variables);
		i = errno == ENOENT ? 127 : 126;
		perror(argv[1]);
		return i;
	}
	if (!(words = calloc((size_t)argc + 3, sizeof(*words))) || hand_on(variables) < 0)
		return refuse("its environment cannot be handed on");
	words[0] = (char *)PYTHON;
	words[1] = (char *)"-IS";
	words[2] = (char *)CONFINE;
	for (i = 1; i < argc; i++)
		words[i + 2] = argv[i];
	execve(PYTHON, words, clean);
	return refuse("what confines it cannot be started");
}
