/* test_layers.c - layers over a storage: what the log records and in which order, on one thread and
 * on two, what the error layer fails and what it lets through, and that nothing is lost where there
 * is no memory. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/operation.h"
#include "support/power.h"
#include "vbdkit/xsc_linux.h"

enum { ENTRIES = 4096, EACH = 1000 /* operations of a thread */ };

/* --- what the tests stack --- */

struct journal {
    pthread_mutex_t mutex;
    bool locked;
    struct vbd_logged entries[ENTRIES];
    char first_byte[ENTRIES]; /* of the data */
    unsigned count;
};

static void lock(void *ctx)
{
    struct journal *j = ctx;

    pthread_mutex_lock(&j->mutex);
    j->locked = true;
}

static void unlock(void *ctx)
{
    struct journal *j = ctx;

    j->locked = false;
    pthread_mutex_unlock(&j->mutex);
}

static void record(void *ctx, const struct vbd_logged *entry)
{
    struct journal *j = ctx;

    assert_true(j->locked);
    assert_true(j->count < ENTRIES);
    assert_int_equal(entry->number, j->count);
    if (entry->memory_count > 0)
        j->first_byte[j->count] = *(const char *)entry->memory[0].base;
    j->entries[j->count++] = *entry;
}

struct stack {
    struct power_device device;
    struct journal journal;
    struct vbd_storage *storage;
    struct vbd_channel *channel;
};

static struct stack *new_stack(void)
{
    struct stack *s = calloc(1, sizeof *s);

    power_device_init(&s->device);
    pthread_mutex_init(&s->journal.mutex, NULL);
    return s;
}

static struct stack *log_stack(void)
{
    struct stack *s = new_stack();
    struct vbd_log_sink sink = {
        .struct_size = sizeof sink, &s->journal, .lock = lock, .unlock = unlock, .record = record};

    assert_int_equal(vbd_log_layer_new(&vbd_libc_allocator, &s->device.storage, &sink, &s->storage),
                     0);
    assert_int_equal(s->storage->ops->open_channel(s->storage, NULL, &s->channel), 0);
    return s;
}

static struct stack *error_stack(struct vbd_error_rule rule)
{
    struct stack *s = new_stack();

    rule.struct_size = sizeof rule;
    assert_int_equal(
        vbd_error_layer_new(&vbd_libc_allocator, &s->device.storage, &rule, &s->storage), 0);
    assert_int_equal(s->storage->ops->open_channel(s->storage, NULL, &s->channel), 0);
    return s;
}

static void end_stack(struct stack *s)
{
    s->channel->ops->close(s->channel);
    s->storage->ops->close(s->storage);
    pthread_mutex_destroy(&s->journal.mutex);
    free(s);
}

/* --- log --- */

static void expect_entry(const struct stack *s, unsigned at, enum vbd_logged_event event,
                         unsigned submitted, enum vbd_io_op op, uint64_t offset)
{
    const struct vbd_logged *entry = &s->journal.entries[at];

    assert_true(at < s->journal.count);
    assert_int_equal(entry->struct_size, sizeof *entry);
    assert_int_equal(entry->event, event);
    assert_int_equal(entry->submitted, submitted);
    assert_int_equal(entry->op, op);
    assert_int_equal(entry->offset, offset);
    assert_int_equal(entry->length, op == VBD_IO_FLUSH ? 0 : 1024);
}

static void test_the_log_tells_what_was_submitted_and_completed(void **state)
{
    struct stack *s = log_stack();
    struct operation write, discard, flush, read;

    (void)state;
    memset(write.data, 'w', sizeof write.data);
    operation_submit(&write, s->channel, VBD_IO_WRITE, 1024);
    operation_submit(&read, s->channel, VBD_IO_READ, 1024);
    operation_submit(&discard, s->channel, VBD_IO_DISCARD, 4096);
    operation_submit(&flush, s->channel, VBD_IO_FLUSH, 0);
    assert_int_equal(s->journal.count, 3); /* the read is not a change */
    assert_int_equal(write.answers, 0);
    power_device_complete(&s->device, 2);
    assert_int_equal(discard.answers, 1);
    assert_int_equal(write.answers, 0);
    while (s->device.count > 0)
        power_device_complete(&s->device, 0);
    expect_entry(s, 0, VBD_LOGGED_SUBMITTED, 0, VBD_IO_WRITE, 1024);
    assert_int_equal(s->journal.first_byte[0], 'w');
    expect_entry(s, 1, VBD_LOGGED_SUBMITTED, 1, VBD_IO_DISCARD, 4096);
    expect_entry(s, 2, VBD_LOGGED_SUBMITTED, 2, VBD_IO_FLUSH, 0);
    expect_entry(s, 3, VBD_LOGGED_COMPLETED, 1, VBD_IO_DISCARD, 4096);
    expect_entry(s, 4, VBD_LOGGED_COMPLETED, 0, VBD_IO_WRITE, 1024);
    expect_entry(s, 5, VBD_LOGGED_COMPLETED, 2, VBD_IO_FLUSH, 0);
    assert_int_equal(s->journal.count, 6);
    operation_expect(&write, 0);
    operation_expect(&read, 0);
    operation_expect(&flush, 0);
    assert_int_equal(s->device.bytes[1024], 'w');
    end_stack(s);
}

/* More than goes on at once, and all of it in order. */
static void test_a_large_batch_keeps_its_order(void **state)
{
    enum { MANY = 100 };
    struct stack *s = log_stack();
    struct operation *all = calloc(MANY, sizeof *all);
    struct vbd_io *ios[MANY];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        all[i].io = (struct vbd_io){.op = VBD_IO_FLUSH, .done = operation_done};
        ios[i] = &all[i].io;
    }
    s->channel->ops->submit(s->channel, ios, MANY);
    assert_int_equal(s->device.count, MANY);
    while (s->device.count > 0)
        power_device_complete(&s->device, s->device.count - 1);
    for (unsigned i = 0; i < MANY; i++) {
        operation_expect(&all[i], 0);
        expect_entry(s, MANY + i, VBD_LOGGED_COMPLETED, MANY - 1 - i, VBD_IO_FLUSH, 0);
    }
    free(all);
    end_stack(s);
}

/* --- two threads --- */

static void complete_at_once(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count)
{
    (void)channel;
    for (size_t i = 0; i < count; i++)
        ios[i]->done(ios[i], 0);
}

static void close_nothing(struct vbd_channel *channel)
{
    (void)channel;
}

static const struct vbd_channel_ops immediate_channel_ops = {.struct_size =
                                                                 sizeof immediate_channel_ops,
                                                             .submit = complete_at_once,
                                                             .close = close_nothing};

static int open_immediate(struct vbd_storage *storage, void *loop, struct vbd_channel **ret)
{
    static struct vbd_channel channel = {.ops = &immediate_channel_ops};

    (void)storage;
    (void)loop;
    *ret = &channel;
    return 0;
}

static void close_storage(struct vbd_storage *storage)
{
    storage->info.bytes = 0; /* a sign that it was closed */
}

static int grow(struct vbd_storage *storage)
{
    storage->info.bytes += 512;
    return storage->info.bytes > 1024 ? -EIO : 0;
}

static const struct vbd_storage_ops immediate_ops = {.struct_size = sizeof immediate_ops,
                                                     .open_channel = open_immediate,
                                                     .close = close_storage,
                                                     .refresh = grow};

static void *write_many(void *arg)
{
    struct vbd_storage *storage = arg;
    struct vbd_channel *channel;
    struct operation o = {.data = "x"};

    assert_int_equal(storage->ops->open_channel(storage, NULL, &channel), 0);
    for (int i = 0; i < EACH; i++) {
        operation_submit(&o, channel, VBD_IO_WRITE, 0);
        operation_expect(&o, 0);
    }
    channel->ops->close(channel);
    return NULL;
}

/* The journal itself checks that numbers come in order; here, that each channel's are its own. */
static void test_two_threads_share_one_order(void **state)
{
    struct stack *s = new_stack();
    struct vbd_storage below = {.ops = &immediate_ops};
    struct vbd_log_sink sink = {
        .struct_size = sizeof sink, &s->journal, .lock = lock, .unlock = unlock, .record = record};
    unsigned of[2] = {0}, open[2] = {0};
    pthread_t threads[2];

    (void)state;
    assert_int_equal(vbd_log_layer_new(&vbd_libc_allocator, &below, &sink, &s->storage), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, s->storage), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(s->journal.count, 4 * EACH);
    for (unsigned i = 0; i < s->journal.count; i++) {
        const struct vbd_logged *entry = &s->journal.entries[i];
        bool begins = entry->event == VBD_LOGGED_SUBMITTED;

        assert_true(entry->channel < 2);
        assert_int_equal(open[entry->channel], begins ? 0 : 1);
        open[entry->channel] = begins;
        of[entry->channel]++;
    }
    assert_int_equal(of[0], of[1]);
    s->storage->ops->close(s->storage);
    pthread_mutex_destroy(&s->journal.mutex);
    free(s);
}

/* --- error --- */

/* Writes one after the other: how many failed, and which was the first. */
static unsigned write_in_turn(struct stack *s, unsigned count, int error, unsigned *ret_first)
{
    unsigned failed = 0;

    for (unsigned i = 1; i <= count; i++) {
        struct operation o = {.data = "data"};

        operation_submit(&o, s->channel, VBD_IO_WRITE, 0);
        if (s->device.count > 0)
            power_device_complete(&s->device, 0);
        operation_expect(&o, o.result == 0 ? 0 : error);
        if (o.result != 0 && failed++ == 0)
            *ret_first = i;
    }
    return failed;
}

static void test_the_nth_of_a_kind_fails_and_does_not_get_there(void **state)
{
    struct stack *s =
        error_stack((struct vbd_error_rule){.kinds = 1u << VBD_IO_FLUSH, .nth = 2, .error = -28});
    struct operation o = {.data = "data"};

    (void)state;
    for (int i = 1; i <= 3; i++) {
        unsigned none = 0;

        assert_int_equal(write_in_turn(s, 3, 0, &none), 0); /* not counted */
        operation_submit(&o, s->channel, VBD_IO_FLUSH, 0);
        assert_int_equal(s->device.count, i == 2 ? 0 : 1);
        if (s->device.count > 0)
            power_device_complete(&s->device, 0);
        operation_expect(&o, i == 2 ? -28 : 0);
    }
    end_stack(s);
}

static void test_a_part_of_them_fails_the_same_for_the_same_seed(void **state)
{
    unsigned failed[2], first[2] = {0}, none = 0;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct stack *s = error_stack((struct vbd_error_rule){
            .kinds = 1u << VBD_IO_WRITE, .per_million = 100000, .seed = 7, .error = -EIO});

        failed[i] = write_in_turn(s, 2000, -EIO, &first[i]);
        assert_in_range(failed[i], 140, 260); /* of 200: more than four deviations away */
        end_stack(s);
    }
    assert_int_equal(failed[0], failed[1]);
    assert_int_equal(first[0], first[1]);
    for (uint32_t part = 0; part <= 1000000; part += 1000000) {
        struct stack *s = error_stack((struct vbd_error_rule){
            .kinds = 1u << VBD_IO_WRITE, .per_million = part, .error = -EIO});

        assert_int_equal(write_in_turn(s, 50, -EIO, &none), part == 0 ? 0 : 50);
        end_stack(s);
    }
}

static void test_an_operation_can_fail_after_it_was_done(void **state)
{
    struct stack *s = error_stack((struct vbd_error_rule){
        .kinds = 1u << VBD_IO_WRITE, .nth = 1, .error = -EIO, .done = true});
    unsigned first = 0;

    (void)state;
    assert_int_equal(write_in_turn(s, 2, -EIO, &first), 1);
    assert_int_equal(first, 1);
    assert_memory_equal(s->device.bytes, "data", 4);
    end_stack(s);
}

/* --- all layers --- */

static void test_what_makes_no_sense_is_refused(void **state)
{
    struct vbd_storage below = {.ops = &immediate_ops}, *none = NULL;
    const struct vbd_allocator *a = &vbd_libc_allocator;
    struct vbd_log_sink unlocked = {.lock = lock, .record = record}, silent = {.lock = NULL};
    struct vbd_error_rule positive = {.error = EIO}, zero = {.error = 0};
    struct vbd_error_rule much = {.error = -EIO, .per_million = 1000001};

    (void)state;
    assert_int_equal(vbd_log_layer_new(a, &below, &unlocked, &none), -EINVAL);
    assert_int_equal(vbd_log_layer_new(a, &below, &silent, &none), -EINVAL);
    assert_int_equal(vbd_error_layer_new(a, &below, &positive, &none), -EINVAL);
    assert_int_equal(vbd_error_layer_new(a, &below, &zero, &none), -EINVAL);
    assert_int_equal(vbd_error_layer_new(a, &below, &much, &none), -EINVAL);
    assert_null(none);
}

static void test_size_and_closing_reach_the_storage_below(void **state)
{
    struct vbd_storage below = {.ops = &immediate_ops,
                                .info = {.bytes = 512, .direct = true, .in_place = true}};
    struct vbd_error_rule rule = {.error = -EIO};
    struct vbd_storage *layer;

    (void)state;
    assert_int_equal(vbd_error_layer_new(&vbd_libc_allocator, &below, &rule, &layer), 0);
    assert_int_equal(layer->info.bytes, 512);
    assert_true(layer->info.direct);
    assert_true(layer->info.in_place);
    assert_int_equal(layer->ops->refresh(layer), 0);
    assert_int_equal(layer->info.bytes, 1024);
    assert_int_equal(layer->ops->refresh(layer), -EIO);
    assert_int_equal(layer->info.bytes, 1024);
    layer->ops->close(layer);
    assert_int_equal(below.info.bytes, 0);
}

/* Gives memory so many times. */
static void *alloc_some(void *ctx, size_t size)
{
    int *left = ctx;

    return (*left)-- > 0 ? calloc(1, size) : NULL;
}

static void give_back(void *ctx, void *memory)
{
    (void)ctx;
    free(memory);
}

static void test_no_memory_is_an_answer(void **state)
{
    struct stack *s = new_stack();
    int left = 0;
    struct vbd_allocator a = {&left, alloc_some, give_back};
    struct vbd_error_rule rule = {.error = -EIO};
    struct operation first, second;

    (void)state;
    assert_int_equal(vbd_error_layer_new(&a, &s->device.storage, &rule, &s->storage), -ENOMEM);
    left = 1;
    assert_int_equal(vbd_error_layer_new(&a, &s->device.storage, &rule, &s->storage), 0);
    assert_int_equal(s->storage->ops->open_channel(s->storage, NULL, &s->channel), -ENOMEM);
    left = 2;
    assert_int_equal(s->storage->ops->open_channel(s->storage, NULL, &s->channel), 0);
    operation_submit(&first, s->channel, VBD_IO_FLUSH, 0);
    operation_submit(&second, s->channel, VBD_IO_FLUSH, 0);
    operation_expect(&second, -ENOMEM);
    assert_int_equal(first.answers, 0);
    power_device_complete(&s->device, 0);
    operation_expect(&first, 0);
    operation_submit(&second, s->channel, VBD_IO_FLUSH, 0); /* with what the first gave back */
    power_device_complete(&s->device, 0);
    operation_expect(&second, 0);
    end_stack(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_log_tells_what_was_submitted_and_completed),
        cmocka_unit_test(test_a_large_batch_keeps_its_order),
        cmocka_unit_test(test_two_threads_share_one_order),
        cmocka_unit_test(test_the_nth_of_a_kind_fails_and_does_not_get_there),
        cmocka_unit_test(test_a_part_of_them_fails_the_same_for_the_same_seed),
        cmocka_unit_test(test_an_operation_can_fail_after_it_was_done),
        cmocka_unit_test(test_what_makes_no_sense_is_refused),
        cmocka_unit_test(test_size_and_closing_reach_the_storage_below),
        cmocka_unit_test(test_no_memory_is_an_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
