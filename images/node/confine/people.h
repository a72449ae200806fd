/* Whose jobs are confined on this node. One list for all that asks: lines "* NAME UID", written by apply-people. */
#include <errno.h>
#include <stdio.h>
#include <sys/types.h>

#define LIST "/var/lib/extrausers/confined"

/* 1 for somebody whose jobs are confined, 0 for anybody else, -1 where it cannot be known: never taken for 0. */
static int is_confined(uid_t uid)
{
	char name[64];
	unsigned int number;
	int read, found = 0;
	FILE *list = fopen(LIST, "re");

	if (!list)
		return -1;
	while (!found && (read = fscanf(list, " * %63s %u", name, &number)) == 2)
		found = number == (unsigned int)uid;
	if (!found && (ferror(list) || !feof(list)))
		found = -1; /* a line that is none */
	fclose(list);
	return found;
}
