/* actor_helper.c - a second process of the same program, for the interpreter's commands that need
 * one to kill: it runs commands that come through a pipe. The program is executed anew, since a
 * child must not use the handles of its parent. See actor.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actor.h"

int actor_serve(void)
{
    static struct actor helper;
    char line[ACTOR_LINE], answer[ACTOR_LINE];

    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        actor_run(&helper, line, answer);
        if (printf("%s\n", answer) < 0 || fflush(stdout) != 0)
            return 1;
    }
    actor_run(&helper, "reset", answer);
    return strcmp(answer, "ok") == 0 ? 0 : 1;
}

/* The child's part of a start. Nothing is inherited but the two pipes, so no handle of the parent
 * is kept open by its child. */
static void become_helper(int in, int out)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(126);
    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
    (void)execl("/proc/self/exe", "rules_helper", "--helper", (char *)NULL);
    _exit(127);
}

static int start_helper(struct helper *h)
{
    int to[2], from[2];

    if (pipe2(to, 0) < 0)
        return -1;
    if (pipe2(from, 0) < 0)
        return -1;
    h->pid = fork();
    if (h->pid == 0)
        become_helper(to[0], from[1]);
    (void)close(to[0]);
    (void)close(from[1]);
    h->to = to[1];
    h->from = from[0];
    return h->pid < 0 ? -1 : 0;
}

static void reap(struct helper *h)
{
    (void)close(h->to);
    (void)close(h->from);
    (void)waitpid(h->pid, NULL, 0);
    h->pid = 0;
}

int actor_helper_send(struct call *c)
{
    struct helper *h = &c->actor->helper;
    const char *command = strchr(c->line, ' ');
    char line[ACTOR_LINE + 1];
    int len = snprintf(line, sizeof line, "%s\n", command + 1);

    if (h->pid == 0 && start_helper(h) < 0)
        return -1;
    return write(h->to, line, (size_t)len) == len ? 0 : -1;
}

/* Reads an answer, which comes in one write. */
static int receive(struct call *c, int ms)
{
    struct pollfd entry = {.fd = c->actor->helper.from, .events = POLLIN};
    int n = poll(&entry, 1, ms);
    ssize_t got;

    if (n == 0)
        errno = ETIMEDOUT;
    if (n <= 0)
        return -1;
    got = read(entry.fd, c->answer, ACTOR_LINE - 1);
    if (got <= 0)
        return actor_wrong(c, "the helper has ended");
    c->answer[got] = '\0';
    c->answer[strcspn(c->answer, "\n")] = '\0';
    return 0;
}

int actor_helper_receive(struct call *c)
{
    if (c->actor->helper.pid == 0)
        return actor_wrong(c, "there is no helper");
    return receive(c, (int)actor_number(c->word[1]));
}

int actor_helper(struct call *c)
{
    if (actor_helper_send(c) < 0)
        return -1;
    return receive(c, ACTOR_HELPER_MS);
}

int actor_helper_kill(struct call *c)
{
    struct helper *h = &c->actor->helper;

    if (h->pid == 0)
        return actor_wrong(c, "there is no helper");
    (void)kill(h->pid, SIGKILL);
    reap(h);
    return 0;
}

/* Its standard input ends, so it resets itself and ends; one that blocks is killed. */
void actor_helper_end(struct actor *a)
{
    struct helper *h = &a->helper;
    struct pollfd entry = {.fd = h->from, .events = POLLIN};
    char rest[ACTOR_LINE];

    if (h->pid == 0)
        return;
    (void)close(h->to);
    h->to = -1;
    while (poll(&entry, 1, 2000) > 0 && read(h->from, rest, sizeof rest) > 0)
        continue;
    (void)kill(h->pid, SIGKILL);
    reap(h);
}
