/* replay.c - runs a fuzz target over files, without a fuzzer: `replay_TARGET FILE|DIRECTORY...`.
 * Each file is one input, each file of a directory too. Fails when there was none. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int inputs;

static int complain(const char *path)
{
    (void)fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    return -1;
}

static int replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1); /* exact, so that a sanitizer sees its end */
    int r = 0;

    if (file == NULL || data == NULL || fread(data, 1, size, file) != size) {
        r = complain(path);
    } else {
        (void)LLVMFuzzerTestOneInput(data, size);
        inputs++;
    }
    free(data);
    if (file != NULL)
        (void)fclose(file);
    return r;
}

static int replay(const char *path);

static int replay_directory(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    int r = directory == NULL ? complain(path) : 0;

    while (r == 0 && (entry = readdir(directory)) != NULL) {
        char name[4096];

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        r = replay(name);
    }
    if (directory != NULL)
        (void)closedir(directory);
    return r;
}

static int replay(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return complain(path);
    return S_ISDIR(st.st_mode) ? replay_directory(path) : replay_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (replay(argv[i]) < 0)
            return 1;
    printf("%d inputs replayed\n", inputs);
    return inputs > 0 ? 0 : 1;
}
