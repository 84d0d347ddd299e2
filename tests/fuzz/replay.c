/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run a fuzz target over every file of the directories given: the corpus, as an ordinary test.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int replay_open_file(FILE *f)
{
	struct stat st;
	uint8_t *data;
	size_t size;
	int err = 0;

	if (fstat(fileno(f), &st) != 0)
		return -errno;
	size = (size_t)st.st_size;
	data = malloc(size > 0 ? size : 1);
	if (data == NULL)
		return -ENOMEM;
	if (fread(data, 1, size, f) == size)
		LLVMFuzzerTestOneInput(data, size);
	else
		err = -EIO;
	free(data);
	return err;
}

static int replay_file(const char *dir, const char *name)
{
	char path[4096];
	FILE *f;
	int err;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return -ENAMETOOLONG;
	/* Named before it runs: a crash says where. */
	fprintf(stderr, "%s\n", path);
	f = fopen(path, "rb");
	if (f == NULL)
		return -errno;
	err = replay_open_file(f);
	fclose(f);
	return err;
}

/* Returns the number of files, or -errno. */
static int replay_dir(const char *dir)
{
	struct dirent *entry;
	int n = 0, err = 0;
	DIR *d;

	d = opendir(dir);
	if (d == NULL)
		return -errno;
	while (err == 0 && (entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		err = replay_file(dir, entry->d_name);
		n++;
	}
	closedir(d);
	return err != 0 ? err : n;
}

int main(int argc, char **argv)
{
	int i, n, total = 0;

	if (LLVMFuzzerInitialize != NULL)
		LLVMFuzzerInitialize(&argc, &argv);
	for (i = 1; i < argc; i++) {
		n = replay_dir(argv[i]);
		if (n < 0) {
			fprintf(stderr, "replay: %s: %s\n", argv[i], strerror(-n));
			return EXIT_FAILURE;
		}
		total += n;
	}
	fprintf(stderr, "replay: %d files\n", total);
	return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
