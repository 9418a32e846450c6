/* hyperless.c - "vbdkit hyperless": finds the part of it that is asked for. */
#include "vbdkit/hyperless.h"

#include <stdio.h>
#include <string.h>

#include "vbdkit/program.h"

static const char usage[] = "hyperless run [--xenstored c|ocaml] [--] [COMMAND [ARGUMENT]...]\n"
                            "       vbdkit hyperless exec --domid N [--unikernel] "
                            "[--fault FAULT]... [--] COMMAND [ARGUMENT]...\n"
                            "       vbdkit hyperless create [--unikernel] N\n"
                            "       vbdkit hyperless destroy N\n"
                            "       vbdkit hyperless list [--json]";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} parts[] = {{"run", hyperless_run},
             {"exec", hyperless_exec},
             {"create", hyperless_create},
             {"destroy", hyperless_destroy},
             {"list", hyperless_list}};

int hyperless_usage(void)
{
    return tool_usage(usage);
}

int hyperless_main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--help") == 0)
        tool_help(usage);
    for (size_t i = 0; argc >= 2 && i < sizeof parts / sizeof parts[0]; i++)
        if (strcmp(argv[1], parts[i].name) == 0)
            return parts[i].run(argc - 1, argv + 1);
    return hyperless_usage();
}
