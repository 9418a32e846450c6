/* back_json.c - what is known about a back, as JSON: for "vbdkit stat" and whoever reads the
 * control socket. Called by devices.c. */
#include "vbdkit/server.h"

static void add_u64(json_object *o, const char *key, uint64_t n)
{
    (void)json_object_object_add(o, key, json_object_new_uint64(n));
}

static json_object *counters_json(const struct vbd_counters *c)
{
    json_object *o = json_object_new_object();

#define ADD(name, text) add_u64(o, #name, c->name);
    VBD_COUNTERS(ADD)
#undef ADD
    return o;
}

/* Only ranges that hold something: [end in nanoseconds, count]. */
static json_object *ranges_json(const uint64_t *ranges)
{
    json_object *list = json_object_new_array();

    for (unsigned i = 0; i < VBD_LATENCY_RANGES; i++) {
        json_object *pair;

        if (ranges[i] == 0)
            continue;
        pair = json_object_new_array();
        (void)json_object_array_add(pair, json_object_new_uint64(vbd_latency_end(i)));
        (void)json_object_array_add(pair, json_object_new_uint64(ranges[i]));
        (void)json_object_array_add(list, pair);
    }
    return list;
}

static json_object *latency_json(const struct vbd_latency *l)
{
    json_object *o = json_object_new_object();

    (void)json_object_object_add(o, "reads", ranges_json(l->reads));
    (void)json_object_object_add(o, "writes", ranges_json(l->writes));
    (void)json_object_object_add(o, "others", ranges_json(l->others));
    return o;
}

static json_object *queues_json(const struct vbd_back *back, unsigned queues)
{
    json_object *list = json_object_new_array();
    struct vbd_counters c;
    struct vbd_latency l;

    for (unsigned i = 0; i < queues; i++)
        if (vbd_back_queue_stats(back, i, &c, &l) == 0) {
            json_object *queue = counters_json(&c);

            (void)json_object_object_add(queue, "latency", latency_json(&l));
            (void)json_object_array_add(list, queue);
        }
    return list;
}

json_object *back_json(const struct vbd_back *back)
{
    json_object *o = json_object_new_object();
    struct vbd_back_stats s;
    char name[24];

    vbd_back_stats(back, &s);
    vbd_vdev_name(s.id.vdev, name);
    (void)json_object_object_add(o, "name", json_object_new_string(s.name));
    (void)json_object_object_add(o, "domid", json_object_new_int64(s.id.domid));
    (void)json_object_object_add(o, "vdev", json_object_new_int64(s.id.vdev));
    (void)json_object_object_add(o, "device", json_object_new_string(name));
    (void)json_object_object_add(o, "phase", json_object_new_string(s.phase));
    add_u64(o, "bytes", s.bytes);
    (void)json_object_object_add(o, "read_only", json_object_new_boolean(s.read_only));
    (void)json_object_object_add(o, "direct", json_object_new_boolean(s.direct));
    add_u64(o, "queues", s.queues);
    add_u64(o, "looks", s.looks);
    add_u64(o, "looks_held", s.looks_held);
    add_u64(o, "log_dropped", s.log_dropped);
    (void)json_object_object_add(o, "counters", counters_json(&s.counters));
    (void)json_object_object_add(o, "per_queue", queues_json(back, s.queues));
    (void)json_object_object_add(o, "latency", latency_json(&s.latency));
    return o;
}
