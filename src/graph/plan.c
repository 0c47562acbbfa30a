/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From tape to plan: liveness, places in the arena, barriers. See plan.h. Placement is greedy by size: the
 * largest value first, each at the lowest offset that is free during its whole life; good to within a few per
 * cent of the lower bound on these graphs and simple enough to trust.
 */
#include <stdlib.h>
#include <string.h>

#include "graph/plan.h"

#define FOREVER UINT32_MAX

/* One region of the arena and the steps during which it is taken. */
typedef struct {
    size_t bytes, offset;
    uint32_t first, last;
} Region;

typedef struct {
    Region region;
    uint32_t index;
} Sortable;

typedef struct {
    NervTape *tape;
    guint n_tensors, n_nodes;
    bool *node_live;
    bool *tensor_live;  /* somebody reads it, or it is an output */
    uint32_t *last_use; /* by root tensor id: last step that touches it */
    uint32_t *root;     /* by tensor id: the tensor whose memory it shares */
    Region *regions;    /* one for each tensor and each node's scratch at most */
    uint32_t n_regions;
    int32_t *region_of;      /* by root tensor id; -1: none */
    int32_t *scratch_region; /* by node; -1: none */
    size_t *scratch_bytes;
    /* by tensor; for one function at a time */
    uint32_t *uses;
    const NervNode **writer;
    /* by region */
    Sortable *order;
    Region **overlap;
} Planner;

static size_t round_up(size_t bytes)
{
    return (bytes + NERV_PLAN_ALIGN - 1) / NERV_PLAN_ALIGN * NERV_PLAN_ALIGN;
}

static void set_no_memory(GError **error)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory to plan a network's evaluation");
}

static bool has_alias(const NervOp *op)
{
    for (uint32_t i = 0; i < op->n_out; i++)
        if (op->alias[i])
            return true;
    return false;
}

/* Nodes that an output or an in-place update needs, found backwards. */
static void mark_live(Planner *p)
{
    for (guint i = 0; i < p->n_tensors; i++) {
        const NervTensor *t = g_ptr_array_index(p->tape->tensors, i);
        p->tensor_live[i] = t->is_output;
    }
    for (guint i = p->n_nodes; i-- > 0;) {
        const NervNode *node = g_ptr_array_index(p->tape->nodes, i);
        bool live = has_alias(node->op);
        for (uint32_t j = 0; j < node->op->n_out; j++)
            live |= p->tensor_live[node->out[j]->id];
        p->node_live[i] = live;
        for (uint32_t j = 0; live && j < node->n_in; j++)
            p->tensor_live[node->in[j]->id] = true;
    }
}

/* Lets nodes take in what feeds them; what they took in is dead then. */
static void fuse_nodes(Planner *p)
{
    uint32_t *uses = p->uses;
    bool changed = false;

    for (guint i = 0; i < p->n_nodes; i++) {
        const NervNode *node = g_ptr_array_index(p->tape->nodes, i);
        for (uint32_t j = 0; p->node_live[i] && j < node->n_in; j++)
            uses[node->in[j]->id]++;
    }
    for (guint i = 0; i < p->n_tensors; i++) {
        const NervTensor *t = g_ptr_array_index(p->tape->tensors, i);
        uses[i] += t->is_output;
    }
    for (guint i = 0; i < p->n_nodes; i++) {
        NervNode *node = g_ptr_array_index(p->tape->nodes, i);
        if (p->node_live[i] && node->op->fuse)
            changed |= node->op->fuse(node, uses);
    }
    if (!changed)
        return;
    memset(p->node_live, 0, p->n_nodes * sizeof *p->node_live);
    memset(p->tensor_live, 0, p->n_tensors * sizeof *p->tensor_live);
    mark_live(p);
}

/* Views and in-place outputs share their input's memory. */
static void find_roots(Planner *p)
{
    for (guint i = 0; i < p->n_tensors; i++)
        p->root[i] = i;
    for (guint i = 0; i < p->n_nodes; i++) {
        const NervNode *node = g_ptr_array_index(p->tape->nodes, i);
        for (uint32_t j = 0; j < node->op->n_out; j++) {
            if (node->op->is_view)
                p->root[node->out[j]->id] = p->root[node->in[0]->id];
            else if (node->op->alias[j])
                p->root[node->out[j]->id] = p->root[node->in[node->op->alias[j] - 1]->id];
        }
    }
}

static const NervTensor *through_views(const NervTensor *t)
{
    while (t->node && t->node->op->is_view)
        t = t->node->in[0];
    return t;
}

/* An input that is overwritten must be a leaf that nobody reads later, except through the overwriting output.
 */
static bool check_aliases(const Planner *p, GError **error)
{
    const NervNode **writer = p->writer;
    bool ok = true;
    for (guint i = 0; ok && i < p->n_nodes; i++) {
        const NervNode *node = g_ptr_array_index(p->tape->nodes, i);
        if (!p->node_live[i])
            continue;
        for (uint32_t j = 0; ok && j < node->n_in; j++) {
            const NervTensor *in = through_views(node->in[j]);
            if (writer[p->root[in->id]] && !in->node) {
                g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                            "op %s reads a tensor that op %s has overwritten", node->op->name,
                            writer[p->root[in->id]]->op->name);
                ok = false;
            }
        }
        for (uint32_t j = 0; ok && j < node->op->n_out; j++) {
            if (!node->op->alias[j])
                continue;
            const NervTensor *base = g_ptr_array_index(p->tape->tensors, p->root[node->out[j]->id]);
            if (base->kind != NERV_TENSOR_PARAM) {
                g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                            "op %s would overwrite a tensor that is no parameter", node->op->name);
                ok = false;
            }
            writer[base->id] = node;
        }
    }
    return ok;
}

static int32_t region_add(Planner *p, size_t bytes, uint32_t first, uint32_t last)
{
    p->regions[p->n_regions] = (Region){ round_up(bytes), 0, first, last };
    return (int32_t)p->n_regions++;
}

static int by_size(const void *a, const void *b)
{
    const Region *ra = a, *rb = b;
    if (ra->bytes != rb->bytes)
        return ra->bytes > rb->bytes ? -1 : 1;
    return ra->first < rb->first ? -1 : ra->first > rb->first;
}

static int by_offset(const void *a, const void *b)
{
    const Region *ra = *(const Region *const *)a, *rb = *(const Region *const *)b;
    return ra->offset < rb->offset ? -1 : ra->offset > rb->offset;
}

/* Lowest offset where `r` fits among `placed` (regions alive at the same time, sorted by offset). */
static size_t lowest_gap(const Region *r, Region *const *placed, uint32_t n)
{
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (placed[i]->offset >= at + r->bytes)
            break;
        at = MAX(at, placed[i]->offset + placed[i]->bytes);
    }
    return at;
}

/* Gives every region its offset; returns the arena's size. */
static size_t place_regions(Planner *p)
{
    const uint32_t n = p->n_regions;
    Region *regions = p->regions, **overlap = p->overlap;
    Sortable *order = p->order;
    size_t arena = 0;
    for (uint32_t i = 0; i < n; i++)
        order[i] = (Sortable){ regions[i], i };
    qsort(order, n, sizeof(*order), by_size);
    for (uint32_t i = 0; i < n; i++) {
        Region *r = &regions[order[i].index];
        uint32_t n_overlap = 0;
        for (uint32_t j = 0; j < i; j++) {
            Region *q = &regions[order[j].index];
            if (q->first <= r->last && r->first <= q->last)
                overlap[n_overlap++] = q;
        }
        qsort(overlap, n_overlap, sizeof(*overlap), by_offset);
        r->offset = lowest_gap(r, overlap, n_overlap);
        arena = MAX(arena, r->offset + r->bytes);
    }
    return arena;
}

static bool is_leaf(const NervTensor *t)
{
    return t->kind != NERV_TENSOR_VALUE;
}

/* Last step at which each root's memory is touched. */
static void find_lives(Planner *p)
{
    uint32_t step = 0;
    for (guint i = 0; i < p->n_nodes; i++) {
        const NervNode *node = g_ptr_array_index(p->tape->nodes, i);
        if (!p->node_live[i] || node->op->is_view)
            continue;
        for (uint32_t j = 0; j < node->n_in; j++)
            p->last_use[p->root[node->in[j]->id]] = step;
        for (uint32_t j = 0; j < node->op->n_out; j++)
            p->last_use[p->root[node->out[j]->id]] = step;
        step++;
    }
    for (guint i = 0; i < p->n_tensors; i++) {
        const NervTensor *t = g_ptr_array_index(p->tape->tensors, i);
        if (t->is_output)
            p->last_use[p->root[i]] = FOREVER;
    }
}

/* Creates a region for each value that is computed and each scratch; returns the number of steps. */
static uint32_t make_regions(Planner *p, NervScratchFunc scratch, void *user)
{
    uint32_t step = 0;
    for (guint i = 0; i < p->n_nodes; i++) {
        const NervNode *node = g_ptr_array_index(p->tape->nodes, i);
        p->scratch_region[i] = -1;
        if (!p->node_live[i] || node->op->is_view)
            continue;
        for (uint32_t j = 0; j < node->op->n_out; j++) {
            const NervTensor *t = node->out[j];
            if (p->tensor_live[t->id] && p->root[t->id] == t->id)
                p->region_of[t->id] = region_add(p, nerv_tensor_bytes(t), step, p->last_use[t->id]);
        }
        p->scratch_bytes[i] = scratch ? scratch(node, user) : 0;
        if (p->scratch_bytes[i])
            p->scratch_region[i] = region_add(p, p->scratch_bytes[i], step, step);
        step++;
    }
    return step;
}

static NervPlace place_of(const Planner *p, const NervTensor *t)
{
    const NervTensor *root = g_ptr_array_index(p->tape->tensors, p->root[t->id]);
    if (!p->tensor_live[t->id] && !is_leaf(root))
        return (NervPlace){ NERV_PLACE_NONE, 0, 0, NULL };
    if (is_leaf(root))
        return (NervPlace){ NERV_PLACE_LEAF, 0, nerv_tensor_bytes(t), root };
    const Region *r = &p->regions[p->region_of[root->id]];
    return (NervPlace){ NERV_PLACE_ARENA, r->offset, nerv_tensor_bytes(t), NULL };
}

/* Does `a` touch memory of `b`? */
static bool touches(const NervPlace *a, const NervPlace *b)
{
    if (a->kind != b->kind || a->kind == NERV_PLACE_NONE)
        return false;
    if (a->kind == NERV_PLACE_LEAF)
        return a->tensor == b->tensor;
    return a->offset < b->offset + round_up(b->bytes) && b->offset < a->offset + round_up(a->bytes);
}

static bool read_by(const NervStep *s, const NervPlace *a)
{
    for (uint32_t j = 0; j < s->node->n_in; j++)
        if (touches(a, &s->in[j]))
            return true;
    return false;
}

static bool written_by(const NervStep *s, const NervPlace *a)
{
    for (uint32_t j = 0; j < s->node->op->n_out; j++)
        if (touches(a, &s->out[j]))
            return true;
    return touches(a, &s->scratch);
}

/* Whether a step reads what an earlier one wrote, or writes what that read or wrote. */
static bool is_hazard(const NervStep *earlier, const NervStep *s)
{
    bool hazard = read_by(earlier, &s->scratch) || written_by(earlier, &s->scratch);
    for (uint32_t j = 0; j < s->node->n_in && !hazard; j++)
        hazard = written_by(earlier, &s->in[j]);
    for (uint32_t j = 0; j < s->node->op->n_out && !hazard; j++)
        hazard = read_by(earlier, &s->out[j]) || written_by(earlier, &s->out[j]);
    return hazard;
}

/* A barrier is due where there is a hazard with a step since the last one. */
static void mark_barriers(NervPlan *plan)
{
    for (uint32_t i = 0, first = 0; i < plan->n_steps; i++) {
        NervStep *s = &plan->steps[i];
        for (uint32_t j = first; j < i && !s->barrier_before; j++)
            s->barrier_before = is_hazard(&plan->steps[j], s);
        if (s->barrier_before)
            first = i;
    }
}

static NervPlan *emit(Planner *p, uint32_t n_steps, GError **error)
{
    NervPlan *plan = g_new0(NervPlan, 1);
    plan->tape = p->tape;
    plan->arena_bytes = place_regions(p);
    plan->steps = g_try_new0(NervStep, n_steps);
    plan->place = g_try_new0(NervPlace, p->n_tensors);
    if (!plan->steps || !plan->place) {
        nerv_plan_free(plan);
        set_no_memory(error);
        return NULL;
    }
    for (guint i = 0; i < p->n_tensors; i++)
        plan->place[i] = place_of(p, g_ptr_array_index(p->tape->tensors, i));
    for (guint i = 0; i < p->n_nodes; i++) {
        const NervNode *node = g_ptr_array_index(p->tape->nodes, i);
        if (!p->node_live[i] || node->op->is_view)
            continue;
        NervStep *s = &plan->steps[plan->n_steps++];
        s->node = node;
        for (uint32_t j = 0; j < node->n_in; j++)
            s->in[j] = plan->place[node->in[j]->id];
        for (uint32_t j = 0; j < node->op->n_out; j++)
            s->out[j] = plan->place[node->out[j]->id];
        if (p->scratch_region[i] >= 0) {
            const Region *r = &p->regions[p->scratch_region[i]];
            s->scratch = (NervPlace){ NERV_PLACE_ARENA, r->offset, p->scratch_bytes[i], NULL };
        }
    }
    mark_barriers(plan);
    return plan;
}

static bool planner_init(Planner *p, NervTape *tape, GError **error)
{
    const guint nt = tape->tensors->len, nn = tape->nodes->len, n = MAX(nt + nn, 1), n_nodes = MAX(nn, 1),
                n_tensors = MAX(nt, 1);
    *p = (Planner){ .tape = tape, .n_tensors = nt, .n_nodes = nn };
    p->node_live = g_try_new0(bool, n_nodes);
    p->tensor_live = g_try_new0(bool, n_tensors);
    p->last_use = g_try_new0(uint32_t, n_tensors);
    p->root = g_try_new0(uint32_t, n_tensors);
    p->region_of = g_try_new(int32_t, n_tensors);
    p->uses = g_try_new0(uint32_t, n_tensors);
    p->writer = g_try_new0(const NervNode *, n_tensors);
    p->scratch_region = g_try_new(int32_t, n_nodes);
    p->scratch_bytes = g_try_new0(size_t, n_nodes);
    p->regions = g_try_new(Region, n);
    p->order = g_try_new(Sortable, n);
    p->overlap = g_try_new(Region *, n);
    for (guint i = 0; p->region_of && i < nt; i++)
        p->region_of[i] = -1;
    if (p->node_live && p->tensor_live && p->last_use && p->root && p->region_of && p->uses && p->writer &&
        p->scratch_region && p->scratch_bytes && p->regions && p->order && p->overlap)
        return true;
    set_no_memory(error);
    return false;
}

static void planner_clear(Planner *p)
{
    g_free(p->node_live);
    g_free(p->tensor_live);
    g_free(p->last_use);
    g_free(p->root);
    g_free(p->region_of);
    g_free(p->uses);
    g_free(p->writer);
    g_free(p->scratch_region);
    g_free(p->scratch_bytes);
    g_free(p->regions);
    g_free(p->order);
    g_free(p->overlap);
}

NervPlan *nerv_plan_new(NervTape *tape, NervScratchFunc scratch, void *user, GError **error)
{
    Planner p;
    NervPlan *plan = NULL;
    if (!nerv_tape_check(tape, error))
        return NULL;
    if (!planner_init(&p, tape, error))
        goto done;

    mark_live(&p);
    fuse_nodes(&p);
    find_roots(&p);
    if (!check_aliases(&p, error))
        goto done;
    find_lives(&p);
    const uint32_t n_steps = make_regions(&p, scratch, user);
    if (n_steps == 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "a tape without outputs has nothing to run");
        goto done;
    }
    plan = emit(&p, n_steps, error);

done:
    planner_clear(&p);
    return plan;
}

void nerv_plan_free(NervPlan *plan)
{
    if (!plan)
        return;
    g_free(plan->steps);
    g_free(plan->place);
    g_free(plan->profile.step_ns);
    g_free(plan);
}

void nerv_plan_profile_reset(NervPlan *plan)
{
    g_free(plan->profile.step_ns);
    plan->profile.step_ns = g_new0(uint64_t, plan->n_steps);
    plan->profile.n_runs = 0;
}

double nerv_plan_profile(const NervPlan *plan, uint32_t step)
{
    if (plan->profile.n_runs == 0)
        return 0.;
    return (double)plan->profile.step_ns[step] / (double)plan->profile.n_runs;
}
