/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Threads that evaluate networks. Items that are asked for make jobs, one for each segment; a worker unpacks a job's network, or finds it kept, and then runs of that
 * segment are there for all workers, each of which has a plan of its own on one thread and puts weights into it as it goes from segment to segment. That no run is
 * shared by threads costs nothing as long as there are as many runs as threads; one run alone goes to the wide worker, which has all of them. So does
 * everything where a plan for each worker does not fit into memory, and where the device is a GPU.
 */
#include <string.h>

#include "codec/reader_internal.h"

#define N_PLANS 4 /* of a worker: networks of so many configurations in turn need none made anew */

/* A network made ready to be evaluated, whose weights are others' in turn. */
typedef struct {
    NervParams *params; /* NULL: there is no plan */
    NervEvaluator *ev;
    uint8_t *picture; /* frames of a run */
    GByteArray
        *config; /* of the model: the plan serves those that have the same, and the same size and keyframes */
    NervPixels keys;
    uint64_t id, used; /* the network whose weights are in place, and when */
} Plan;

typedef struct {
    NervBackend *be;
    Plan plans[N_PLANS];
    uint64_t turn;
    Plan *plan;                 /* in use, with */
    NervReaderNetwork *network; /* this one; NULL: none */
} Worker;

typedef enum { NEW, UNPACKING, READY } JobState;

/* The items of one segment, by frame. */
typedef struct {
    NervReaderItem *items;
    size_t n, next; /* next: the first item whose run nobody has taken */
    JobState state;
    NervReaderNetwork *network;
    GError *error; /* the first frame's that could not be had */
    uint64_t error_frame;
    bool is_short; /* of memory: it is left to the wide worker */
} Job;

/* A call. */
typedef struct {
    NervReaderWorkers *all;
    NervReaderCache *cache;
    NervReaderLimits limits;
    const NervReaderTarget *target;
    GArray *jobs;
    guint next_job; /* the first NEW one */
    guint n_unpacking;
    GMutex lock; /* jobs */
    GCond changed;
    uint64_t n_runs, n_plans;
} Call;

struct NervReaderWorkers {
    Worker wide;
    Worker *workers;
    uint32_t n_workers; /* 0: the wide one only */
    NervPool *pool;
    uint64_t share, max_macs_per_frame;
    bool is_single; /* everything goes to the wide one */
    uint64_t n_runs, n_plans;
};

/* --- a worker --- */

static void plan_clear(Worker *w, Plan *p)
{
    if (p->picture)
        nerv_backend_release(w->be, p->ev->run_bytes);
    g_clear_pointer(&p->picture, g_free);
    g_clear_pointer(&p->ev, nerv_evaluator_free);
    g_clear_pointer(&p->params, nerv_params_free);
    g_clear_pointer(&p->config, g_byte_array_unref);
}

static void forget_plans(Worker *w)
{
    w->plan = NULL;
    g_clear_pointer(&w->network, nerv_reader_network_unref);
    for (int i = 0; i < N_PLANS; i++)
        plan_clear(w, &w->plans[i]);
}

static void worker_clear(Worker *w)
{
    forget_plans(w);
    g_clear_pointer(&w->be, nerv_backend_free);
}

static GByteArray *config_of(const NervModel *model)
{
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_write_u32(&w, (uint32_t)model->clip.width);
    nerv_write_u32(&w, (uint32_t)model->clip.height);
    nerv_model_write(model, &w);
    GByteArray *config = g_byte_array_ref(w.bytes);
    nerv_writer_clear(&w);
    return config;
}

/* The plan that serves a network, or else the one to make in its place: none, or the one that was used longest ago. */
static Plan *find_plan(Worker *w, const NervReaderNetwork *n, const GByteArray *config)
{
    Plan *other = &w->plans[0];
    for (int i = 0; i < N_PLANS; i++) {
        Plan *p = &w->plans[i];
        if (p->params && p->config->len == config->len &&
            !memcmp(p->config->data, config->data, config->len) &&
            !memcmp(&p->keys, nerv_keyring_pixels(n->keyring), sizeof(p->keys)))
            return p;
        if (other->params && (!p->params || p->used < other->used))
            other = p;
    }
    plan_clear(w, other);
    return other;
}

static bool put_weights(Plan *p, const NervReaderNetwork *n, GError **error)
{
    const float *flat = n->weights;
    p->params->model = n->model;
    p->ev->keyring = n->keyring;
    if (p->id == n->id)
        return true;
    p->id = UINT64_MAX;
    for (uint32_t i = 0; i < n->model->n_params; i++) {
        const int64_t count = nerv_shape_count(n->model->params[i].shape);
        if (!nerv_buffer_upload(p->params->buffer, p->params->offset[i], flat, (size_t)count * sizeof(float),
                                error))
            return false;
        flat += count;
    }
    p->id = n->id;
    return true;
}

static bool make_plan(Worker *w, Plan *p, const NervReaderNetwork *n, GError **error)
{
    const NervPixels rgb = { .format = NERV_PIXELS_RGB,
                             .width = n->model->clip.width,
                             .height = n->model->clip.height };
    p->id = UINT64_MAX;
    p->keys = *nerv_keyring_pixels(n->keyring);
    if (!(p->params = nerv_params_new(w->be, n->model, error)) ||
        !(p->ev = nerv_evaluator_new(w->be, p->params, n->keyring, &rgb, error)) ||
        !nerv_backend_reserve(w->be, p->ev->run_bytes, error))
        return false;
    if (!(p->picture = g_try_malloc(p->ev->run_bytes))) {
        nerv_backend_release(w->be, p->ev->run_bytes);
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for a frame");
        return false;
    }
    return true;
}

/* The same, without all others where there is no memory for it beside them. */
static bool make_room(Worker *w, Plan *p, const NervReaderNetwork *n, GError **error)
{
    GError *why = NULL;
    if (make_plan(w, p, n, &why))
        return true;
    forget_plans(w);
    if (g_error_matches(why, NERV_ERROR, NERV_ERROR_MEMORY)) {
        g_clear_error(&why);
        return make_plan(w, p, n, error);
    }
    g_propagate_error(error, why);
    return false;
}

/* Puts a network in place. */
static bool use_network(Worker *w, NervReaderNetwork *n, uint64_t *n_plans, GError **error)
{
    if (w->network == n)
        return true;
    g_autoptr(GByteArray) config = config_of(n->model);
    Plan *p = find_plan(w, n, config);
    bool ok = p->params != NULL;
    w->plan = NULL;
    g_clear_pointer(&w->network, nerv_reader_network_unref);
    if (!ok && (ok = make_room(w, p, n, error))) {
        p->config = g_byte_array_ref(config);
        (*n_plans)++;
    }
    if (!ok || !put_weights(p, n, error)) {
        forget_plans(w);
        return false;
    }
    p->used = ++w->turn;
    w->plan = p;
    w->network = nerv_reader_network_ref(n);
    return true;
}

/* Computes the run that items [begin, end) are in, and writes them. */
static bool compute(Worker *w, const Call *call, const NervReaderItem *begin, const NervReaderItem *end,
                    GError **error)
{
    const NervModel *model = w->network->model;
    const NervRun run = nerv_model_run(model, (int32_t)begin->run);
    const Plan *p = w->plan;
    if (!nerv_evaluator_start(p->ev, (int32_t)begin->run, error) ||
        !nerv_evaluator_read(p->ev, p->picture, error))
        return false;
    for (const NervReaderItem *i = begin; i < end; i++)
        nerv_reader_copy(call->target, i->at,
                         p->picture + (size_t)((int32_t)i->index - run.first) * p->ev->frame_bytes,
                         (uint32_t)model->clip.width, (uint32_t)model->clip.height);
    return true;
}

/* --- jobs --- */

static Job *nth_job(const Call *call, guint i)
{
    return &g_array_index(call->jobs, Job, i);
}

static void job_clear(gpointer data)
{
    Job *job = data;
    g_clear_pointer(&job->network, nerv_reader_network_unref);
    g_clear_error(&job->error);
}

/* Takes an error over: of a job's frames the first one's stands. */
static void job_fail(Job *job, uint64_t frame, GError *why)
{
    if (job->error && job->error_frame <= frame) {
        g_error_free(why);
        return;
    }
    g_clear_error(&job->error);
    job->error = why;
    job->error_frame = frame;
}

/* Without the lock. */
static bool unpack(const Call *call, Job *job, GError **error)
{
    const NervReaderItem *first = &job->items[0];
    job->network = nerv_reader_network_get(call->cache, first->group, first->part, &call->limits, error);
    for (size_t i = 0; job->network && i < job->n; i++)
        job->items[i].run = (uint32_t)nerv_model_run_of(job->network->model, (int32_t)job->items[i].index);
    return job->network != NULL;
}

/* With the lock held, which is let go meanwhile. On failure nothing of the job is left to do. */
static void open_job(Call *call, Job *job)
{
    GError *why = NULL;
    job->state = UNPACKING;
    call->n_unpacking++;
    g_mutex_unlock(&call->lock);
    const bool ok = unpack(call, job, &why);
    g_mutex_lock(&call->lock);
    call->n_unpacking--;
    job->state = READY;
    if (!ok) {
        job->next = job->n;
        job->is_short = g_error_matches(why, NERV_ERROR, NERV_ERROR_MEMORY);
        job_fail(job, job->items[0].frame, why);
    }
    g_cond_broadcast(&call->changed);
}

/* The same of one run. */
static void take_run(Call *call, Worker *w, Job *job)
{
    NervReaderItem *begin = job->items + job->next, *end = begin, *last = job->items + job->n;
    GError *why = NULL;
    uint64_t n_plans = 0;
    while (end < last && end->run == begin->run)
        end++;
    job->next = (size_t)(end - job->items);
    call->n_runs++;
    g_mutex_unlock(&call->lock);
    const bool ok = use_network(w, job->network, &n_plans, &why) && compute(w, call, begin, end, &why);
    g_mutex_lock(&call->lock);
    call->n_plans += n_plans;
    if (ok)
        return;
    if (g_error_matches(why, NERV_ERROR, NERV_ERROR_MEMORY)) {
        job->is_short = true;
        job->next = job->n;
    }
    job_fail(job, begin->frame, why);
}

static bool has_runs(const Job *job)
{
    return job && job->state == READY && job->next < job->n;
}

/* What a worker should do next that has done with its job: another network first, then others' runs. NULL: nothing now. */
static Job *find_job(Call *call)
{
    if (call->next_job < call->jobs->len)
        return nth_job(call, call->next_job++);
    for (guint i = 0; i < call->jobs->len; i++)
        if (has_runs(nth_job(call, i)))
            return nth_job(call, i);
    return NULL;
}

static void work(Call *call, Worker *w)
{
    Job *job = NULL;
    g_mutex_lock(&call->lock);
    for (;;) {
        if (!has_runs(job))
            job = find_job(call);
        if (!job && call->n_unpacking == 0)
            break;
        if (!job)
            g_cond_wait(&call->changed, &call->lock);
        else if (job->state == NEW)
            open_job(call, job);
        else
            take_run(call, w, job);
    }
    g_mutex_unlock(&call->lock);
}

static void work_task(void *arg, uint32_t task, uint32_t thread)
{
    Call *call = arg;
    work(call, &call->all->workers[task]);
}

/* --- a call --- */

static int by_frame(const void *a, const void *b)
{
    const NervReaderItem *x = a, *y = b;
    if (x->frame != y->frame)
        return x->frame < y->frame ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static void make_jobs(Call *call, NervReaderItem *items, size_t n)
{
    qsort(items, n, sizeof(*items), by_frame);
    for (size_t i = 0, begin = 0; i < n; i++) {
        if (i + 1 < n && items[i + 1].group == items[i].group && items[i + 1].part == items[i].part)
            continue;
        const Job job = { .items = items + begin, .n = i + 1 - begin };
        g_array_append_val(call->jobs, job);
        begin = i + 1;
    }
}

/* Whether there is nothing that two workers could do at a time; a network that this takes is unpacked then. */
static bool is_one_run(Call *call)
{
    Job *job = nth_job(call, 0);
    if (call->jobs->len > 1)
        return false;
    g_mutex_lock(&call->lock);
    call->next_job = 1;
    open_job(call, job);
    g_mutex_unlock(&call->lock);
    return job->next == job->n || job->items[0].run == job->items[job->n - 1].run;
}

/* What was too large for one of many gets all the memory there is. */
static void go_single(NervReaderWorkers *w)
{
    w->is_single = true;
    for (uint32_t i = 0; i < w->n_workers; i++)
        forget_plans(&w->workers[i]);
    w->wide.be->limit_bytes = (size_t)w->share;
}

static void set_limits(const NervReaderWorkers *w, Call *call)
{
    const uint64_t half = w->share / 2;
    call->limits.max_bytes = MAX(w->is_single ? half : half / w->n_workers, 2);
    call->limits.max_macs_per_frame = w->max_macs_per_frame;
}

/* The jobs that were too large, once more and one after the other. */
static void do_short_ones(Call *call)
{
    bool any = false;
    for (guint i = 0; i < call->jobs->len; i++)
        any = any || nth_job(call, i)->is_short;
    if (!any)
        return;
    for (guint i = 0; i < call->jobs->len; i++)
        g_clear_pointer(&nth_job(call, i)->network, nerv_reader_network_unref);
    if (!call->all->is_single)
        go_single(call->all);
    set_limits(call->all, call);
    for (guint i = 0; i < call->jobs->len; i++) {
        Job *job = nth_job(call, i);
        if (!job->is_short)
            continue;
        nerv_reader_cache_drop(call->cache);
        forget_plans(&call->all->wide);
        g_clear_error(&job->error);
        job->is_short = false;
        job->next = 0;
        job->state = NEW;
        g_mutex_lock(&call->lock);
        open_job(call, job);
        while (has_runs(job))
            take_run(call, &call->all->wide, job);
        g_mutex_unlock(&call->lock);
        g_clear_pointer(&job->network, nerv_reader_network_unref);
    }
}

/* The first frame's error of all. */
static bool report(Call *call, GError **error)
{
    for (guint i = 0; i < call->jobs->len; i++) {
        Job *job = nth_job(call, i);
        if (!job->error)
            continue;
        g_propagate_prefixed_error(error, g_steal_pointer(&job->error), "frame %" G_GUINT64_FORMAT ": ",
                                   job->error_frame);
        return false;
    }
    return true;
}

bool nerv_reader_workers_run(NervReaderWorkers *w, NervReaderCache *cache, const NervInit *init,
                             NervReaderItem *items, size_t n, const NervReaderTarget *target, GError **error)
{
    Call call = { .all = w,
                  .cache = cache,
                  .limits = { .init = init },
                  .target = target,
                  .jobs = g_array_new(FALSE, FALSE, sizeof(Job)) };
    g_array_set_clear_func(call.jobs, job_clear);
    g_mutex_init(&call.lock);
    g_cond_init(&call.changed);
    make_jobs(&call, items, n);
    set_limits(w, &call);
    if (w->is_single || is_one_run(&call))
        work(&call, &w->wide);
    else
        nerv_pool_run(w->pool, w->n_workers, work_task, &call);
    do_short_ones(&call);
    const bool ok = report(&call, error);
    w->n_runs += call.n_runs;
    w->n_plans += call.n_plans;
    g_array_unref(call.jobs);
    g_mutex_clear(&call.lock);
    g_cond_clear(&call.changed);
    return ok;
}

/* --- all of them --- */

NervReaderWorkers *nerv_reader_workers_new(const NervReaderSettings *settings, uint64_t share, GError **error)
{
    NervReaderWorkers *w = g_new0(NervReaderWorkers, 1);
    w->share = share;
    w->max_macs_per_frame = settings->max_macs_per_frame;
    w->wide.be = nerv_backend_open(settings->device, settings->threads, error);
    if (!w->wide.be) {
        nerv_reader_workers_free(w);
        return NULL;
    }
    w->is_single = !nerv_backend_has_lanes(w->wide.be) || w->wide.be->n_threads < 2;
    w->wide.be->limit_bytes = (size_t)(w->is_single ? share : share / 2);
    const uint32_t n = w->is_single ? 0 : w->wide.be->n_threads;
    w->workers = g_new0(Worker, n);
    for (w->n_workers = 0; w->n_workers < n; w->n_workers++) {
        Worker *one = &w->workers[w->n_workers];
        if (!(one->be = nerv_backend_open("cpu", 1, error))) {
            nerv_reader_workers_free(w);
            return NULL;
        }
        one->be->limit_bytes = (size_t)MAX(share / 2 / n, 1);
    }
    w->pool = n ? nerv_pool_new(n) : NULL;
    return w;
}

void nerv_reader_workers_free(NervReaderWorkers *w)
{
    if (!w)
        return;
    for (uint32_t i = 0; i < w->n_workers; i++)
        worker_clear(&w->workers[i]);
    worker_clear(&w->wide);
    if (w->pool)
        nerv_pool_free(w->pool);
    g_free(w->workers);
    g_free(w);
}

void nerv_reader_workers_stats(const NervReaderWorkers *w, NervReaderStats *stats)
{
    stats->runs = w->n_runs;
    stats->plans = w->n_plans;
    stats->max_workers = w->is_single ? 1 : w->n_workers;
}

const char *nerv_reader_workers_device(const NervReaderWorkers *w)
{
    return w->wide.be->description;
}
