/* test_xsc_directory.c - proves xsc_list: a directory however large, whole or in parts, from the
 * start again when it changes; servers without parts, that never stand still or send nonsense; and
 * memory and connections that fail at every step. The test plays the server. */
#include <errno.h>

#include "xsc_support.h"

enum { NAMES_MAX = 3 << 19 };

/* A directory as its server has it. */
struct directory {
    char names[NAMES_MAX]; /* each with its NUL */
    size_t len, chunk;     /* of all; of a part at most */
    unsigned generation;
    int changes; /* how often it still changes between two parts */
    int starts, parts;
};

struct listing {
    struct memory memory;
    struct xsc *x;
    int done, released, error;
    size_t len;
    bool same;
    const struct directory *d;
};

static void listed(void *ctx, const struct xsc_reply *reply)
{
    struct listing *l = ctx;

    l->done++;
    l->error = reply->error;
    l->len = reply->len;
    assert_int_equal(reply->data[reply->len], '\0');
    l->same = reply->len == l->d->len && memcmp(reply->data, l->d->names, reply->len) == 0;
}

static void released(void *ctx)
{
    ((struct listing *)ctx)->released++;
}

static int list(struct listing *l, const struct directory *d, uint32_t tx)
{
    l->d = d;
    return xsc_list(l->x, tx, "/dir", (struct xsc_completion){listed, l, released});
}

static void listing_init(struct listing *l, const struct directory *d, uint32_t tx)
{
    *l = (struct listing){0};
    l->x = new_session(&l->memory);
    assert_int_equal(list(l, d, tx), 0);
}

static void listing_end(struct listing *l, int error)
{
    assert_int_equal(l->done, 1);
    assert_int_equal(l->released, 1);
    assert_int_equal(l->error, error);
    if (error == 0)
        assert_true(l->same);
    end_session(l->x, &l->memory);
}

static void fill(struct directory *d, size_t count, size_t chunk)
{
    *d = (struct directory){.chunk = chunk, .generation = 7};
    for (size_t i = 0; i < count; i++)
        d->len += (size_t)snprintf(d->names + d->len, 32, "name-%zu", i * i) + 1;
}

/* Writes the part from `offset` as xenstored does: its generation, whole names, and at the end of
 * all an empty one. Returns its size. */
static size_t part(const struct directory *d, size_t offset, char *to)
{
    size_t len = (size_t)snprintf(to, 16, "%u", d->generation) + 1, most = len + d->chunk;

    while (offset < d->len && len + strlen(d->names + offset) + 1 <= most) {
        size_t size = strlen(d->names + offset) + 1;

        memcpy(to + len, d->names + offset, size);
        len += size;
        offset += size;
    }
    if (offset == d->len)
        to[len++] = '\0';
    return len;
}

/* Answers one request of the listing. */
static int serve_directory(struct xsc *x, struct directory *d, const struct message *m)
{
    static char to[HEADER + 2 * XSC_PAYLOAD_MAX];
    size_t offset;

    assert_string_equal(m->payload, "/dir");
    if (m->type == XSC_OP_DIRECTORY) {
        d->starts++;
        return d->len > d->chunk ? answer_error(x, m, "E2BIG") : answer(x, m, d->names, d->len);
    }
    assert_int_equal(m->type, XSC_OP_DIRECTORY_PART);
    d->parts++;
    offset = strtoul(m->payload + sizeof "/dir", NULL, 10);
    assert_in_range(offset, 0, d->len);
    if (offset > 0 && d->changes > 0) {
        d->changes--;
        d->generation++;
    }
    return answer(x, m, to, part(d, offset, to));
}

static void serve_all(struct listing *l, struct directory *d)
{
    struct message m;
    int rounds = 0;

    while (take_message(l->x, &m)) {
        (void)serve_directory(l->x, d, &m);
        assert_in_range(++rounds, 1, 100000);
    }
}

/* oxenstored answers with more than a message holds. */
static void test_a_directory_that_is_answered_takes_one_request(void **state)
{
    static const size_t counts[] = {0, 1, 2, 2000};
    static struct directory d;

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct listing l;

        fill(&d, counts[i], NAMES_MAX);
        listing_init(&l, &d, 0);
        serve_all(&l, &d);
        assert_int_equal(d.starts, 1);
        assert_int_equal(d.parts, 0);
        listing_end(&l, 0);
    }
}

static void test_a_large_directory_comes_in_parts_of_any_size(void **state)
{
    static const size_t chunks[] = {16, 17, 40, 1000, 4000};
    static struct directory d;

    (void)state;
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        struct listing l;

        fill(&d, 1000, chunks[i]);
        listing_init(&l, &d, 0);
        serve_all(&l, &d);
        assert_in_range(d.parts, d.len / chunks[i], 1001);
        listing_end(&l, 0);
    }
}

static void test_all_requests_are_in_the_transaction(void **state)
{
    static struct directory d;
    struct message m;
    struct listing l;

    (void)state;
    fill(&d, 1000, 2000);
    listing_init(&l, &d, 77);
    while (take_message(l.x, &m)) {
        assert_int_equal(m.tx, 77);
        assert_int_equal(serve_directory(l.x, &d, &m), 0);
    }
    assert_true(d.parts > 2);
    listing_end(&l, 0);
}

static void test_a_directory_that_changes_is_read_from_the_start(void **state)
{
    static struct directory d;

    (void)state;
    for (int changes = 1; changes < 4; changes++) {
        struct listing l;

        fill(&d, 1000, 2000);
        d.changes = changes;
        listing_init(&l, &d, 0);
        serve_all(&l, &d);
        assert_int_equal(d.changes, 0);
        listing_end(&l, 0);
    }
}

static void test_names_of_two_generations_are_not_mixed(void **state)
{
    static const char first[] = "1\0old\0", whole[] = "2\0new\0one\0"; /* and a NUL: its end */
    static struct directory d;
    struct listing l;
    struct message m;

    (void)state;
    memset(&d, 0, sizeof d);
    memcpy(d.names, whole + 2, d.len = 8);
    listing_init(&l, &d, 0);
    m = expect(l.x, XSC_OP_DIRECTORY, 0, "/dir");
    assert_int_equal(answer_error(l.x, &m, "E2BIG"), 0);
    m = expect(l.x, XSC_OP_DIRECTORY_PART, 0, "/dir");
    assert_string_equal(m.payload + 5, "0");
    assert_int_equal(answer(l.x, &m, first, 6), 0);
    m = expect(l.x, XSC_OP_DIRECTORY_PART, 0, "/dir");
    assert_string_equal(m.payload + 5, "4");
    assert_int_equal(answer(l.x, &m, "2\0xxx\0", 7), 0);
    m = expect(l.x, XSC_OP_DIRECTORY_PART, 0, "/dir");
    assert_string_equal(m.payload + 5, "0");
    assert_int_equal(answer(l.x, &m, whole, sizeof whole), 0);
    listing_end(&l, 0);
}

static void test_a_directory_that_never_stands_still(void **state)
{
    static struct directory d;
    struct listing l;

    (void)state;
    fill(&d, 1000, 2000);
    d.changes = INT32_MAX;
    listing_init(&l, &d, 0);
    serve_all(&l, &d);
    assert_in_range(d.parts, 2, 10000);
    listing_end(&l, -EAGAIN);
}

/* What a server may say to the first request for a part, or to the second, and what comes of it. */
struct nonsense {
    const char *word; /* an error, or NULL */
    const char *data;
    size_t len;
    int first, second; /* -EAGAIN: any error will do */
};

static const struct nonsense nonsense[] = {
    {"ENOSYS", NULL, 0, -E2BIG, -EAGAIN},
    {"ENOENT", NULL, 0, -ENOENT, -ENOENT}, /* removed meanwhile */
    {"EACCES", NULL, 0, -EACCES, -EACCES},
    {NULL, "", 0, -EPROTO, -EPROTO},
    {NULL, "7", 1, -EPROTO, -EPROTO},      /* no end of the generation */
    {NULL, "7\0", 2, -EPROTO, -EPROTO},    /* and nothing: no progress */
    {NULL, "7\0nam", 5, -EPROTO, -EPROTO}, /* a name that is cut */
    {NULL, "7\0a\0nam", 7, -EPROTO, -EPROTO},
};

static void speak(struct listing *l, const struct nonsense *n)
{
    struct message m = expect(l->x, XSC_OP_DIRECTORY_PART, 0, "/dir");

    if (n->word != NULL)
        assert_int_equal(answer_error(l->x, &m, n->word), 0);
    else
        (void)answer(l->x, &m, n->data, n->len);
}

static void test_parts_that_fail_or_make_no_sense(void **state)
{
    static const struct nonsense good = {NULL, "7\0one\0", 6, 0, 0};
    static struct directory d;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof nonsense / sizeof nonsense[0]; i++) {
        const struct nonsense *n = &nonsense[i / 2];
        int error = i % 2 == 0 ? n->first : n->second;
        struct listing l;
        struct message m;

        listing_init(&l, &d, 0);
        m = expect(l.x, XSC_OP_DIRECTORY, 0, "/dir");
        assert_int_equal(answer_error(l.x, &m, "E2BIG"), 0);
        if (i % 2 == 1)
            speak(&l, &good);
        speak(&l, n);
        assert_true(error == -EAGAIN ? l.error < 0 : l.error == error);
        listing_end(&l, l.error);
    }
}

static void test_other_errors_are_answered_as_they_are(void **state)
{
    static const char *const words[] = {"ENOENT", "EACCES", "EQUOTA"};
    static const int errors[] = {-ENOENT, -EACCES, -EDQUOT};
    static struct directory d;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct listing l;
        struct message m;

        listing_init(&l, &d, 0);
        m = expect(l.x, XSC_OP_DIRECTORY, 0, "/dir");
        assert_int_equal(answer_error(l.x, &m, words[i]), 0);
        assert_false(xsc_wants_write(l.x));
        listing_end(&l, errors[i]);
    }
}

static void test_a_directory_without_end_is_given_up(void **state)
{
    static char names[4000];
    static struct directory d;
    struct listing l;
    struct message m;
    int parts = 0;

    (void)state;
    memset(names, 'n', sizeof names);
    memcpy(names, "7", 2);
    names[sizeof names - 1] = '\0';
    listing_init(&l, &d, 0);
    m = expect(l.x, XSC_OP_DIRECTORY, 0, "/dir");
    assert_int_equal(answer_error(l.x, &m, "E2BIG"), 0);
    while (take_message(l.x, &m)) {
        (void)answer(l.x, &m, names, sizeof names);
        assert_in_range(++parts, 1, 20000);
    }
    assert_true(l.error < 0);
    listing_end(&l, l.error);
}

static void test_calls_that_are_refused(void **state)
{
    static struct directory d;
    struct listing l = {0};

    (void)state;
    l.x = new_session(&l.memory);
    l.d = &d;
    for (int i = 0; i < 3; i++) {
        static const char *const paths[] = {"/a b", "", "/a"};

        if (i == 2)
            xsc_disconnected(l.x, "gone");
        assert_int_equal(xsc_list(l.x, 0, paths[i], (struct xsc_completion){listed, &l, released}),
                         i == 2 ? -ENOTCONN : -EINVAL);
        assert_int_equal(l.done, 0);
        assert_int_equal(l.released, i + 1);
    }
    end_session(l.x, &l.memory);
}

static void test_the_connection_lost_or_the_session_freed_at_each_step(void **state)
{
    static struct directory d;

    (void)state;
    for (int step = 0; step < 24; step++) {
        struct listing l;
        struct message m;

        fill(&d, 200, 300);
        listing_init(&l, &d, 0);
        for (int i = 0; i < step / 2 && take_message(l.x, &m); i++)
            (void)serve_directory(l.x, &d, &m);
        if (l.done == 0 && step % 2 == 0)
            xsc_disconnected(l.x, "gone");
        if (l.done == 0)
            assert_int_equal(step % 2, 1);
        assert_null(xsc_free(l.x));
        assert_int_equal(l.memory.live, 0);
        assert_int_equal(l.done, 1);
        assert_int_equal(l.released, 1);
        assert_true(l.error == 0 || l.error == (step % 2 == 0 ? -ECONNRESET : -ECANCELED));
    }
}

/* Lists with the n-th allocation failing; true when it did. */
static bool list_fails(struct directory *d, unsigned long n)
{
    struct listing l = {0};
    int r;

    fill(d, 200, 300);
    l.x = new_session(&l.memory);
    l.memory.fail_at = l.memory.calls + n;
    r = list(&l, d, 0);
    assert_true(r == 0 || r == -ENOMEM);
    serve_all(&l, d);
    assert_int_equal(l.done, r == 0);
    assert_int_equal(l.released, 1);
    assert_true(l.error == 0 ? r < 0 || l.same : l.error == -ENOMEM || l.error == -ECONNRESET);
    r = l.memory.calls >= l.memory.fail_at;
    end_session(l.x, &l.memory);
    return r;
}

static void test_every_allocation_failing_once(void **state)
{
    static struct directory d;
    unsigned long n = 1;

    (void)state;
    while (list_fails(&d, n))
        n++;
    assert_in_range(n, 5, 1000);
}

static void test_lists_and_other_calls_side_by_side(void **state)
{
    static struct directory d;
    static struct listing l[3];
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct message m;

    (void)state;
    fill(&d, 500, 900);
    memset(l, 0, sizeof l);
    for (int i = 0; i < 3; i++) {
        l[i].x = x;
        assert_int_equal(list(&l[i], &d, 0), 0);
    }
    while (take_message(x, &m))
        assert_int_equal(serve_directory(x, &d, &m), 0);
    for (int i = 0; i < 3; i++)
        assert_true(l[i].done == 1 && l[i].released == 1 && l[i].error == 0 && l[i].same);
    end_session(x, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_directory_that_is_answered_takes_one_request),
        cmocka_unit_test(test_a_large_directory_comes_in_parts_of_any_size),
        cmocka_unit_test(test_all_requests_are_in_the_transaction),
        cmocka_unit_test(test_a_directory_that_changes_is_read_from_the_start),
        cmocka_unit_test(test_names_of_two_generations_are_not_mixed),
        cmocka_unit_test(test_a_directory_that_never_stands_still),
        cmocka_unit_test(test_parts_that_fail_or_make_no_sense),
        cmocka_unit_test(test_other_errors_are_answered_as_they_are),
        cmocka_unit_test(test_a_directory_without_end_is_given_up),
        cmocka_unit_test(test_calls_that_are_refused),
        cmocka_unit_test(test_the_connection_lost_or_the_session_freed_at_each_step),
        cmocka_unit_test(test_every_allocation_failing_once),
        cmocka_unit_test(test_lists_and_other_calls_side_by_side),
    };

    return cmocka_run_group_tests_name("xsc_directory", tests, NULL, NULL);
}
