/*
 * standalone.c - runs a fuzz target over stored inputs, where libFuzzer is not linked.
 *
 *   fuzz_x FILE|DIRECTORY…     every file once; a directory that is not there holds nothing
 *
 * Each input is handed over in a block of exactly its size, so that a sanitizer sees a read past its end.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long runs;

static void run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		exit(1);
	}
	fseek(f, 0, SEEK_END);
	long size = ftell(f);
	rewind(f);
	uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
	if (size < 0 || !data || fread(data, 1, (size_t)size, f) != (size_t)size) {
		fprintf(stderr, "cannot read %s\n", path);
		exit(1);
	}
	fclose(f);
	uint8_t *exact = malloc((size_t)size);
	if (size)
		memcpy(exact, data, (size_t)size);
	LLVMFuzzerTestOneInput(exact, (size_t)size);
	free(exact);
	free(data);
	runs++;
}

static void run_path(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return;
	if (!S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	DIR *d = opendir(path);
	if (!d) {
		perror(path);
		exit(1);
	}
	for (struct dirent *e; (e = readdir(d));) {
		char inner[4096];
		if (e->d_name[0] == '.')
			continue;
		if (snprintf(inner, sizeof inner, "%s/%s", path, e->d_name) < (int)sizeof inner)
			run_path(inner);
	}
	closedir(d);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] != '-')
			run_path(argv[i]);
	printf("%lu inputs\n", runs);
	return 0;
}
