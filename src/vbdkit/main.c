/* main.c - vbdkit: finds the subcommand. Each is a file of its own. */
#include <stdio.h>
#include <string.h>

#include "vbdkit/program.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"serve", serve_main, "serve guests' disks: the backend daemon"},
    {"attach", attach_main, "give a guest a disk"},
    {"detach", detach_main, "take a disk from a guest"},
    {"list", list_main, "list disks and their states"},
    {"stat", stat_main, "show the counters of a running daemon"},
    {"front", front_main, "use a disk of this domain: read, write, verify, measure, export"},
    {"xs", xs_main, "look at xenstore and change it"},
    {"hyperless", hyperless_main, "run Xen programs on a machine without Xen"},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void help(FILE *to)
{
    (void)fprintf(to, "usage: vbdkit COMMAND [OPTION]...\n\n");
    for (int i = 0; i < COMMANDS; i++)
        (void)fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].help);
    (void)fprintf(to, "\nEach command has a manual page, such as vbdkit-serve(8), and --help.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        help(stdout);
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("vbdkit %s\n", VBDKIT_VERSION);
        return EXIT_OK;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    (void)fprintf(stderr, "vbdkit: there is no command \"%s\"\n", argv[1]);
    help(stderr);
    return EXIT_USAGE;
}
