/* testfront.c - the command line: what is asked for, and which file does it. See usage below. Exit
 * status: 0, 1 something failed or did not match, 2 wrong usage. */
#include "front/front.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: testfront list\n"
    "       testfront VDEV info [--hold]\n"
    "       testfront VDEV read OFFSET LENGTH\n"
    "       testfront VDEV write OFFSET\n"
    "       testfront VDEV flush\n"
    "       testfront VDEV verify [--seed N] [--seconds S | --requests N] [--rounds N]\n"
    "                             [--region OFFSET LENGTH]\n"
    "VDEV is a number, or xvda to xvdp. Offsets and lengths are multiples of 512 bytes; K, M and "
    "G\n"
    "may follow. list shows this domain's vbds; info prints what was negotiated, with --hold it\n"
    "stays connected until standard input ends; read and write use standard output and input;\n"
    "verify fills its region, writes and reads at random, and compares everything; between two\n"
    "rounds it disconnects and connects again.\n"
    "options: --ring-pages N   1, 2, 4, 8 or 16; the backend may offer less (1)\n"
    "         --depth N        requests in flight (verify 32, others 8)\n"
    "         --timeout S      for each step of connecting and for each answer (20)\n"
    "         --backend-id N   where the nodes do not tell it\n";

struct command {
    struct front front;
    struct front_load load;
    bool hold;
    uint64_t offset, length; /* of read and write */
};

static int usage(void)
{
    (void)fputs(usage_text, stderr);
    return 2;
}

/* --- commands, on a front that is connected --- */

static void print_info_key(struct front *f, const char *key)
{
    char *value = front_node(f, f->backend, key);

    if (value != NULL)
        (void)printf("%s=%s\n", key, value);
    free(value);
}

static bool is_offer(const char *key)
{
    static const char *const prefixes[] = {"feature-", "discard-", "max-", "multi-queue-"};

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static void print_info(struct front *f)
{
    static const char *const keys[] = {"sectors", "sector-size", "physical-sector-size", "info",
                                       "mode"};
    char **children;
    size_t count = front_children(f, f->backend, &children);

    (void)printf("vdev=%u\nbackend=%s\nbackend-id=%u\n", f->options.vdev, f->backend,
                 f->backend_id);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        print_info_key(f, keys[i]);
    (void)printf("ring-pages=%u\nring-slots=%" PRIu32 "\n", f->ring_pages, f->queues[0].ring.size);
    for (size_t i = 0; i < count; i++)
        if (is_offer(children[i]))
            print_info_key(f, children[i]);
    free(children);
    (void)fflush(stdout);
}

/* Stays until standard input ends, a signal comes, or the backend wants to end it. */
static int hold(struct front *f)
{
    char drop[256];
    bool input = false;

    while (f->stopped == 0) {
        f->changed = false;
        if (front_state_of(f, f->backend) != FRONT_CONNECTED)
            return 0;
        while (!f->changed && f->stopped == 0) {
            if (front_wait(f, STDIN_FILENO, -1, &input) < 0)
                return -1;
            if (input && read(STDIN_FILENO, drop, sizeof drop) <= 0)
                return 0;
        }
    }
    return 0;
}

static int run_info(struct command *c)
{
    print_info(&c->front);
    return c->hold ? hold(&c->front) : 0;
}

static int run_read(struct command *c)
{
    return front_copy_out(&c->front, c->offset, c->length);
}

static int run_write(struct command *c)
{
    return front_copy_in(&c->front, c->offset);
}

static int run_flush(struct command *c)
{
    return front_flush(&c->front);
}

static int run_verify(struct command *c)
{
    return front_verify(&c->front, &c->load);
}

static const struct verb {
    const char *name;
    int arguments; /* sizes that follow */
    unsigned depth;
    int (*run)(struct command *c);
} verbs[] = {{"info", 0, 1, run_info},
             {"read", 2, 8, run_read},
             {"write", 1, 8, run_write},
             {"flush", 0, 1, run_flush},
             {"verify", 0, 32, run_verify}};

/* Whatever was reached is taken back, also after a failure. */
static int run_connected(struct command *c, const struct verb *verb)
{
    struct front *f = &c->front;
    int r;

    if (f->options.depth == 0)
        f->options.depth = verb->depth;
    (void)snprintf(f->name, sizeof f->name, "vbd-%u", f->options.vdev);
    (void)snprintf(f->dir, sizeof f->dir, "device/vbd/%u", f->options.vdev);
    r = front_connect(f);
    if (r == 0)
        r = verb->run(c);
    return front_disconnect(f) < 0 || r < 0 ? 1 : 0;
}

/* --- list --- */

static void list_one(struct front *f, const char *vdev)
{
    char *backend;

    (void)snprintf(f->dir, sizeof f->dir, "device/vbd/%.32s", vdev);
    backend = front_node(f, f->dir, "backend");
    (void)printf("%s frontend=%s backend=%s %s\n", vdev,
                 front_state_name(front_state_of(f, f->dir)),
                 front_state_name(backend != NULL ? front_state_of(f, backend) : FRONT_UNKNOWN),
                 backend != NULL ? backend : "-");
    free(backend);
}

static int run_list(struct front *f)
{
    char **vdevs;
    size_t count;

    if (front_store_open(f) < 0)
        return 1;
    count = front_children(f, "device/vbd", &vdevs);
    for (size_t i = 0; i < count; i++)
        list_one(f, vdevs[i]);
    free(vdevs);
    front_store_close(f);
    return 0;
}

/* --- the command line --- */

static bool parse_number(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
    char *end;

    if (s == NULL || s[0] < '0' || s[0] > '9')
        return false;
    *ret = strtoull(s, &end, 10);
    return *end == '\0' && *ret >= min && *ret <= max;
}

/* Bytes, with K, M or G; whether they are whole sectors is the disk's business. */
static bool parse_size(const char *s, uint64_t *ret)
{
    static const char suffixes[] = "KMG";
    const char *suffix = NULL;
    char digits[24] = "";
    size_t len = s != NULL ? strlen(s) : 0;
    unsigned shift;

    if (len == 0 || len >= sizeof digits)
        return false;
    memcpy(digits, s, len);
    suffix = strchr(suffixes, digits[len - 1]);
    if (suffix != NULL)
        digits[len - 1] = '\0';
    shift = suffix != NULL ? (unsigned)(suffix - suffixes + 1) * 10 : 0;
    if (!parse_number(digits, 0, UINT64_MAX >> 31, ret))
        return false;
    *ret <<= shift;
    return true;
}

static bool parse_vdev(const char *s, unsigned *ret)
{
    uint64_t n;

    if (strncmp(s, "xvd", 3) == 0 && s[3] >= 'a' && s[3] <= 'p' && s[4] == '\0')
        n = 51712 + (uint64_t)(s[3] - 'a') * 16; /* Xen's vbd-interface: major 202, 16 minors */
    else if (!parse_number(s, 0, UINT32_MAX, &n))
        return false;
    *ret = (unsigned)n;
    return true;
}

enum option_id {
    OPTION_SEED = 1,
    OPTION_SECONDS,
    OPTION_REQUESTS,
    OPTION_ROUNDS,
    OPTION_DEPTH,
    OPTION_REGION,
    OPTION_RING_PAGES,
    OPTION_TIMEOUT,
    OPTION_BACKEND,
    OPTION_HOLD
};

static const struct option options[] = {{"seed", required_argument, NULL, OPTION_SEED},
                                        {"seconds", required_argument, NULL, OPTION_SECONDS},
                                        {"requests", required_argument, NULL, OPTION_REQUESTS},
                                        {"rounds", required_argument, NULL, OPTION_ROUNDS},
                                        {"depth", required_argument, NULL, OPTION_DEPTH},
                                        {"region", required_argument, NULL, OPTION_REGION},
                                        {"ring-pages", required_argument, NULL, OPTION_RING_PAGES},
                                        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
                                        {"backend-id", required_argument, NULL, OPTION_BACKEND},
                                        {"hold", no_argument, NULL, OPTION_HOLD},
                                        {0}};

static bool parse_load(struct front_load *load, int option, int argc, char **argv)
{
    switch (option) {
    case OPTION_SEED:
        return parse_number(optarg, 0, UINT64_MAX, &load->seed);
    case OPTION_SECONDS:
        return parse_number(optarg, 1, 1000000, &load->seconds);
    case OPTION_REQUESTS:
        return parse_number(optarg, 1, UINT64_MAX, &load->requests);
    case OPTION_ROUNDS:
        return parse_number(optarg, 1, 1000000, &load->rounds);
    case OPTION_REGION: /* the only option with two values */
        return parse_size(optarg, &load->offset) && optind < argc &&
               parse_size(argv[optind++], &load->length) && load->length > 0;
    default:
        return false;
    }
}

static bool parse_common(struct command *c, int option, int argc, char **argv)
{
    struct front_options *o = &c->front.options;
    uint64_t n = 0;

    switch (option) {
    case OPTION_DEPTH:
        return parse_number(optarg, 1, 4096, &n) && (o->depth = (unsigned)n) > 0;
    case OPTION_RING_PAGES:
        return parse_number(optarg, 1, FRONT_RING_PAGES_MAX, &n) && (n & (n - 1)) == 0 &&
               (o->ring_pages = (unsigned)n) > 0;
    case OPTION_TIMEOUT:
        return parse_number(optarg, 1, 100000, &n) && (o->timeout_ms = (int)n * 1000) > 0;
    case OPTION_BACKEND:
        return parse_number(optarg, 0, UINT16_MAX, &n) && (o->backend_id = (int)n) >= 0;
    case OPTION_HOLD:
        return c->hold = true;
    default:
        return parse_load(&c->load, option, argc, argv);
    }
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

/* The words that are no options: VDEV VERB [SIZE...]. */
static const struct verb *parse_words(struct command *c, int count, char **words)
{
    const struct verb *verb = count >= 2 ? find_verb(words[1]) : NULL;

    if (verb == NULL || count != 2 + verb->arguments ||
        !parse_vdev(words[0], &c->front.options.vdev) ||
        (verb->arguments >= 1 && !parse_size(words[2], &c->offset)) ||
        (verb->arguments >= 2 && !parse_size(words[3], &c->length)))
        return NULL;
    return verb;
}

static int run(struct command *c, int argc, char **argv)
{
    const struct verb *verb;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
        if (!parse_common(c, option, argc, argv))
            return usage();
    if (argc - optind == 1 && strcmp(argv[optind], "list") == 0)
        return run_list(&c->front);
    verb = parse_words(c, argc - optind, argv + optind);
    if (verb == NULL)
        return usage();
    return front_catch_signals(&c->front) < 0 ? 1 : run_connected(c, verb);
}

int main(int argc, char **argv)
{
    struct command c = {
        .front = {.options = {.ring_pages = 1, .timeout_ms = 20000, .backend_id = -1},
                  .signals = -1},
        .load = {.seed = 1, .requests = 2000, .rounds = 1}};
    int status = run(&c, argc, argv);

    if (fflush(stdout) != 0 && status == 0)
        status = 1;
    return status;
}
