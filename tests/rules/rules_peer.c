/* rules_peer.c - the other domain's side of the rules: runs what `rules` asks for through xenstore
 * until its connection ends or it is killed. Started by tests/bed/rules, in a guest.
 *
 *   rules_peer            no arguments; tells "ready" in data/rules/answer
 *   rules_peer --helper   what it starts itself, see actor_helper.c
 */
#include <stdio.h>
#include <string.h>

#include "actor.h"
#include "dialogue.h"

static int serve(struct dialogue *d)
{
    static struct actor actor;
    char command[ACTOR_LINE], answer[ACTOR_LINE];
    int status;

    for (;;) {
        status = dialogue_next(d, command, sizeof command);
        if (status == 0) {
            actor_run(&actor, command, answer);
            status = dialogue_answer(d, answer);
        }
        if (status < 0)
            break;
    }
    (void)fprintf(stderr, "rules_peer: %s\n", strerror(-status));
    return 1;
}

int main(int argc, char **argv)
{
    struct vbd_error why = {""};
    struct xsc_client *client = NULL;
    struct dialogue *d;

    if (argc > 1 && strcmp(argv[1], "--helper") == 0)
        return actor_serve();
    if (xsc_client_open(NULL, &client, &why) < 0) {
        (void)fprintf(stderr, "rules_peer: %s\n", why.text);
        return 1;
    }
    d = dialogue_listen(client);
    return d == NULL ? 1 : serve(d);
}
