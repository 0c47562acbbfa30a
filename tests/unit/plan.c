/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Unit test of graph/plan on random tapes of made-up ops: replays each plan with an owner for every byte of
 * the arena, so that a value overwritten while somebody still needs it is found whatever the placement's
 * cleverness; and checks barriers by the definition of a hazard, dead nodes, views, and the rules for
 * overwriting parameters.
 */
#include <string.h>

#include "base/rng.h"
#include "graph/plan.h"

/* --- ops without arithmetic: only shapes matter here --- */

static bool infer_map(const NervNode *node, NervOutInfo *out, GError **error)
{
    for (uint32_t i = 0; i < node->op->n_out; i++)
        out[i] = (NervOutInfo){ NERV_F32, node->in[0]->shape };
    return true;
}

/* An output of another size, so that regions differ. */
static bool infer_grow(const NervNode *node, NervOutInfo *out, GError **error)
{
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(1, 1, 1, *NERV_NODE_ATTR(node, int32_t)) };
    return true;
}

static const NervOp op_map = { .name = "map", .min_in = 1, .max_in = 3, .n_out = 1, .infer = infer_map };
static const NervOp op_grow = { .name = "grow", .min_in = 1, .max_in = 3, .n_out = 1, .infer = infer_grow };
static const NervOp op_split = { .name = "split", .min_in = 1, .max_in = 2, .n_out = 2, .infer = infer_map };
static const NervOp op_view = {
    .name = "view", .min_in = 1, .max_in = 1, .n_out = 1, .is_view = true, .infer = infer_map
};
static const NervOp op_update = {
    .name = "update", .min_in = 2, .max_in = 2, .n_out = 1, .alias = { 1 }, .infer = infer_map
};

static NervTensor *add1(NervTape *t, const NervOp *op, NervTensor *a)
{
    return nerv_tape_add(t, op, &a, 1, NULL, 0);
}

static NervTensor *add2(NervTape *t, const NervOp *op, NervTensor *a, NervTensor *b)
{
    return nerv_tape_add(t, op, (NervTensor *[]){ a, b }, 2, NULL, 0);
}

static NervTensor *leaf(NervTape *t, NervTensorKind kind, int32_t n)
{
    return nerv_tape_leaf(t, kind, NERV_F32, nerv_shape(1, 1, 1, n), NULL);
}

/* --- replay --- */

static const NervTensor *root_of(const NervTensor *t)
{
    while (t->node && (t->node->op->is_view || t->node->op->alias[t->slot]))
        t = t->node->in[t->node->op->is_view ? 0 : t->node->op->alias[t->slot] - 1];
    return t;
}

/* Who wrote each byte of the arena last; scratch leaves NOBODY. */
#define NOBODY UINT32_MAX

static bool owned_by(const uint32_t *owner, const NervPlace *p, uint32_t who)
{
    for (size_t i = 0; i < p->bytes; i++)
        if (owner[p->offset + i] != who)
            return false;
    return true;
}

static void own(uint32_t *owner, const NervPlan *plan, const NervPlace *p, uint32_t who)
{
    const size_t end = p->offset + (p->bytes + NERV_PLAN_ALIGN - 1) / NERV_PLAN_ALIGN * NERV_PLAN_ALIGN;
    g_assert_cmpuint(p->offset % NERV_PLAN_ALIGN, ==, 0);
    g_assert_cmpuint(end, <=, plan->arena_bytes);
    for (size_t i = p->offset; i < end; i++)
        owner[i] = who;
}

static void expect_readable(const uint32_t *owner, const NervPlace *p, const NervTensor *t)
{
    const NervTensor *root = root_of(t);
    g_assert_cmpuint(p->bytes, ==, nerv_tensor_bytes(t));
    if (root->kind != NERV_TENSOR_VALUE) {
        g_assert_cmpint(p->kind, ==, NERV_PLACE_LEAF);
        g_assert_true(p->tensor == root);
    } else {
        g_assert_cmpint(p->kind, ==, NERV_PLACE_ARENA);
        g_assert_true(owned_by(owner, p, root->id));
    }
}

/* Takes the plan through its steps, as a device would that garbles scratch and writes rounded-up outputs. */
static void replay(const NervPlan *plan)
{
    uint32_t *owner = g_new(uint32_t, plan->arena_bytes + 1);
    memset(owner, 0xff, (plan->arena_bytes + 1) * sizeof(*owner));
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        const NervStep *s = &plan->steps[i];
        if (s->scratch.kind != NERV_PLACE_NONE)
            own(owner, plan, &s->scratch, NOBODY);
        for (uint32_t j = 0; j < s->node->op->n_out; j++)
            if (s->out[j].kind == NERV_PLACE_ARENA)
                own(owner, plan, &s->out[j], s->node->out[j]->id);
        /* After the writes: an operand must survive its own step, too. */
        for (uint32_t j = 0; j < s->node->n_in; j++)
            expect_readable(owner, &s->in[j], s->node->in[j]);
        for (uint32_t j = 0; j < s->node->op->n_out; j++)
            if (s->out[j].kind == NERV_PLACE_ARENA)
                g_assert_true(owned_by(owner, &s->out[j], s->node->out[j]->id));
        if (s->scratch.kind != NERV_PLACE_NONE)
            g_assert_true(owned_by(owner, &s->scratch, NOBODY));
    }
    for (uint32_t i = 0; i < plan->tape->tensors->len; i++) {
        const NervTensor *t = g_ptr_array_index(plan->tape->tensors, i);
        if (t->is_output)
            expect_readable(owner, &plan->place[i], t);
    }
    g_free(owner);
}

/* --- barriers --- */

/* Memory touched since the last barrier: bit 1 read, bit 2 written; by byte of the arena, then by leaf. */
static uint8_t touched(const uint8_t *arena, const uint8_t *leaves, const NervPlace *p)
{
    uint8_t bits = 0;
    if (p->kind == NERV_PLACE_LEAF)
        return leaves[p->tensor->id];
    for (size_t i = 0; p->kind == NERV_PLACE_ARENA && i < p->bytes; i++)
        bits |= arena[p->offset + i];
    return bits;
}

static void touch(uint8_t *arena, uint8_t *leaves, const NervPlace *p, uint8_t bit)
{
    if (p->kind == NERV_PLACE_LEAF)
        leaves[p->tensor->id] |= bit;
    for (size_t i = 0; p->kind == NERV_PLACE_ARENA && i < p->bytes; i++)
        arena[p->offset + i] |= bit;
}

static void check_barriers(const NervPlan *plan)
{
    uint8_t *arena = g_malloc0(plan->arena_bytes + 1), *leaves = g_malloc0(plan->tape->tensors->len);
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        const NervStep *s = &plan->steps[i];
        bool hazard = touched(arena, leaves, &s->scratch) != 0;
        for (uint32_t j = 0; j < s->node->n_in; j++)
            hazard |= (touched(arena, leaves, &s->in[j]) & 2) != 0;
        for (uint32_t j = 0; j < s->node->op->n_out; j++)
            hazard |= touched(arena, leaves, &s->out[j]) != 0;
        g_assert_cmpint(s->barrier_before, ==, hazard);
        if (hazard) {
            memset(arena, 0, plan->arena_bytes);
            memset(leaves, 0, plan->tape->tensors->len);
        }
        for (uint32_t j = 0; j < s->node->n_in; j++)
            touch(arena, leaves, &s->in[j], 1);
        for (uint32_t j = 0; j < s->node->op->n_out; j++)
            touch(arena, leaves, &s->out[j], 2);
        touch(arena, leaves, &s->scratch, 2);
    }
    g_free(arena);
    g_free(leaves);
}

/* --- liveness --- */

/* A node runs exactly if an output or an update needs it: by walking down from those, not up as the planner
 * does. */
static void need(const NervTensor *t, bool *needed)
{
    if (needed[t->id])
        return;
    needed[t->id] = true;
    for (uint32_t j = 0; t->node && j < t->node->n_in; j++)
        need(t->node->in[j], needed);
}

static void check_live(const NervPlan *plan)
{
    const NervTape *tape = plan->tape;
    bool *needed = g_new0(bool, tape->tensors->len);
    uint32_t at = 0;
    for (uint32_t i = 0; i < tape->tensors->len; i++) {
        const NervTensor *t = g_ptr_array_index(tape->tensors, i);
        if (t->is_output || (t->node && t->node->op->alias[t->slot]))
            need(t, needed);
    }
    for (uint32_t i = 0; i < tape->nodes->len; i++) {
        const NervNode *node = g_ptr_array_index(tape->nodes, i);
        bool live = false;
        for (uint32_t j = 0; j < node->op->n_out; j++)
            live |= needed[node->out[j]->id];
        if (!live || node->op->is_view)
            continue;
        g_assert_cmpuint(at, <, plan->n_steps);
        g_assert_true(plan->steps[at].node == node);
        for (uint32_t j = 0; j < node->op->n_out; j++)
            g_assert_cmpint(plan->steps[at].out[j].kind == NERV_PLACE_NONE, ==, !needed[node->out[j]->id]);
        at++;
    }
    g_assert_cmpuint(at, ==, plan->n_steps);
    g_free(needed);
}

/* --- random tapes --- */

static size_t random_scratch(const NervNode *node, void *user)
{
    NervRng rng;
    nerv_rng_init(&rng, node->out[0]->id);
    return nerv_rng_below(&rng, 3) ? 0 : 1 + nerv_rng_below(&rng, 3000);
}

static NervTensor *pick(GPtrArray *pool, NervRng *rng)
{
    /* Recent values rather than old ones, as in a network; now and then anything. */
    const uint32_t window = nerv_rng_below(rng, 4) ? MIN(pool->len, 6) : pool->len;
    return g_ptr_array_index(pool, pool->len - 1 - nerv_rng_below(rng, window));
}

static NervTape *random_tape(NervRng *rng)
{
    NervTape *t = nerv_tape_new();
    GPtrArray *pool = g_ptr_array_new();
    const uint32_t n_nodes = 1 + nerv_rng_below(rng, 60);
    for (int i = 0; i < 3; i++)
        g_ptr_array_add(
            pool, leaf(t, i ? NERV_TENSOR_PARAM : NERV_TENSOR_INPUT, 1 + (int)nerv_rng_below(rng, 500)));
    g_ptr_array_add(pool, nerv_tape_scalar(t, 1.f));
    for (uint32_t i = 0; i < n_nodes; i++) {
        const int32_t size = 1 + (int32_t)nerv_rng_below(rng, 2000);
        NervTensor *in[3] = { pick(pool, rng), pick(pool, rng), pick(pool, rng) };
        NervTensor *y = NULL;
        switch (nerv_rng_below(rng, 6)) {
        case 0:
            y = nerv_tape_add(t, &op_map, in, 1 + nerv_rng_below(rng, 3), NULL, 0);
            break;
        case 1:
            y = nerv_tape_add(t, &op_split, in, 1 + nerv_rng_below(rng, 2), NULL, 0);
            if (nerv_rng_below(rng, 2))
                g_ptr_array_add(pool, y->node->out[1]);
            break;
        case 2:
            y = nerv_tape_add(t, &op_view, in, 1, NULL, 0);
            break;
        case 3: /* a parameter of its own, overwritten; sometimes the result is read on */
            y = add2(t, &op_update, leaf(t, NERV_TENSOR_PARAM, size), in[0]);
            if (nerv_rng_below(rng, 2))
                continue;
            break;
        default:
            y = nerv_tape_add(t, &op_grow, in, 1 + nerv_rng_below(rng, 3), &size, sizeof(size));
        }
        g_ptr_array_add(pool, y);
        if (nerv_rng_below(rng, 8) == 0)
            nerv_tape_output(t, y, NULL);
    }
    nerv_tape_output(t, g_ptr_array_index(pool, pool->len - 1), NULL);
    g_ptr_array_unref(pool);
    return t;
}

static void test_random(void)
{
    uint32_t n_barriers = 0, n_free = 0, n_dropped = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        NervRng rng;
        g_autoptr(GError) error = NULL;
        nerv_rng_init(&rng, seed);
        NervTape *t = random_tape(&rng);
        NervPlan *plan = nerv_plan_new(t, random_scratch, NULL, &error);
        if (g_error_matches(error, NERV_ERROR, NERV_ERROR_INVALID) && t->nodes->len < 8) {
            nerv_tape_free(t); /* nothing but views and dead nodes */
            continue;
        }
        g_assert_no_error(error);
        replay(plan);
        check_barriers(plan);
        check_live(plan);
        for (uint32_t i = 0; i < plan->n_steps; i++) {
            n_barriers += plan->steps[i].barrier_before;
            n_free += !plan->steps[i].barrier_before;
        }
        n_dropped += t->nodes->len - plan->n_steps;
        nerv_plan_free(plan);
        nerv_tape_free(t);
    }
    /* The tapes were varied enough for the checks to mean something. */
    g_assert_cmpuint(n_barriers, >, 1000);
    g_assert_cmpuint(n_free, >, 1000);
    g_assert_cmpuint(n_dropped, >, 500);
}

/* --- single rules --- */

static size_t big_scratch(const NervNode *node, void *user)
{
    return *(const size_t *)user;
}

/* A chain needs room for two values however long it is. */
static void test_reuse(void)
{
    NervTape *t = nerv_tape_new();
    NervTensor *x = leaf(t, NERV_TENSOR_INPUT, 1024);
    for (int i = 0; i < 50; i++)
        x = add1(t, &op_map, x);
    nerv_tape_output(t, x, NULL);
    NervPlan *plan = nerv_plan_new(t, NULL, NULL, NULL);
    g_assert_cmpuint(plan->n_steps, ==, 50);
    g_assert_cmpuint(plan->arena_bytes, ==, 2 * 4096);
    nerv_plan_free(plan);
    size_t scratch = 10000;
    plan = nerv_plan_new(t, big_scratch, &scratch, NULL);
    g_assert_cmpuint(plan->steps[7].scratch.bytes, ==, scratch);
    g_assert_cmpuint(plan->arena_bytes, ==, 2 * 4096 + 10240);
    nerv_plan_free(plan);
    nerv_tape_free(t);
}

static void test_barriers(void)
{
    NervTape *t = nerv_tape_new();
    NervTensor *x = leaf(t, NERV_TENSOR_PARAM, 64);
    NervTensor *a = add1(t, &op_map, x), *b = add1(t, &op_map, x), *c = add2(t, &op_map, a, b);
    NervTensor *w = add2(t, &op_update, leaf(t, NERV_TENSOR_PARAM, 64), c);
    nerv_tape_output(t, a, NULL);
    nerv_tape_output(t, b, NULL);
    nerv_tape_output(t, c, NULL);
    nerv_tape_output(t, w, NULL);
    NervPlan *plan = nerv_plan_new(t, NULL, NULL, NULL);
    const bool want[] = { false, false, true, true };
    g_assert_cmpuint(plan->n_steps, ==, G_N_ELEMENTS(want));
    for (uint32_t i = 0; i < plan->n_steps; i++)
        g_assert_cmpint(plan->steps[i].barrier_before, ==, want[i]);
    g_assert_cmpint(plan->place[w->id].kind, ==, NERV_PLACE_LEAF);
    nerv_plan_free(plan);
    nerv_tape_free(t);
}

static void expect_refused(NervTape *t)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(nerv_plan_new(t, NULL, NULL, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    nerv_tape_free(t);
}

static void test_overwriting(void)
{
    /* Reading the parameter before the update is right, */
    NervTape *t = nerv_tape_new();
    NervTensor *w = leaf(t, NERV_TENSOR_PARAM, 8), *g = add1(t, &op_map, w);
    NervTensor *updated = add2(t, &op_update, w, g);
    nerv_tape_output(t, add1(t, &op_map, updated), NULL);
    NervPlan *plan = nerv_plan_new(t, NULL, NULL, NULL);
    g_assert_nonnull(plan);
    replay(plan);
    g_assert_true(plan->steps[2].barrier_before);
    nerv_plan_free(plan);
    /* after it, wrong, */
    nerv_tape_output(t, add1(t, &op_map, w), NULL);
    expect_refused(t);

    /* through a view as well, */
    t = nerv_tape_new();
    w = leaf(t, NERV_TENSOR_PARAM, 8);
    NervTensor *view = add1(t, &op_view, w);
    add2(t, &op_update, w, add1(t, &op_map, w));
    nerv_tape_output(t, add1(t, &op_map, view), NULL);
    expect_refused(t);

    /* overwriting twice too, and so is overwriting what is no parameter. */
    t = nerv_tape_new();
    w = leaf(t, NERV_TENSOR_PARAM, 8);
    g = add1(t, &op_map, w);
    add2(t, &op_update, w, g);
    add2(t, &op_update, w, g);
    expect_refused(t);
    t = nerv_tape_new();
    w = leaf(t, NERV_TENSOR_INPUT, 8);
    add2(t, &op_update, w, add1(t, &op_map, w));
    expect_refused(t);
    t = nerv_tape_new();
    w = add1(t, &op_map, leaf(t, NERV_TENSOR_PARAM, 8));
    add2(t, &op_update, w, add1(t, &op_map, w));
    expect_refused(t);
}

/* An update is work by itself; a tape without outputs or updates has none. */
static void test_nothing(void)
{
    NervTape *t = nerv_tape_new();
    NervTensor *w = leaf(t, NERV_TENSOR_PARAM, 8), *g = add1(t, &op_map, w);
    add1(t, &op_split, g);
    add2(t, &op_update, w, g);
    NervPlan *plan = nerv_plan_new(t, NULL, NULL, NULL);
    g_assert_cmpuint(plan->n_steps, ==, 2);
    nerv_plan_free(plan);
    nerv_tape_free(t);

    t = nerv_tape_new();
    add1(t, &op_map, leaf(t, NERV_TENSOR_PARAM, 8));
    expect_refused(t);
    expect_refused(nerv_tape_new());
    nerv_plan_free(NULL);
}

static void test_failed_tape(void)
{
    g_autoptr(GError) error = NULL;
    NervTape *t = nerv_tape_new();
    nerv_tape_output(t, add1(t, &op_map, leaf(t, NERV_TENSOR_PARAM, 8)), NULL);
    nerv_tape_fail(t, NERV_ERROR_UNSUPPORTED, "no %s", "luck");
    g_assert_null(nerv_plan_new(t, NULL, NULL, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED);
    g_assert_cmpstr(error->message, ==, "no luck");
    nerv_tape_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plan/random", test_random);
    g_test_add_func("/plan/reuse", test_reuse);
    g_test_add_func("/plan/barriers", test_barriers);
    g_test_add_func("/plan/overwriting", test_overwriting);
    g_test_add_func("/plan/nothing", test_nothing);
    g_test_add_func("/plan/failed-tape", test_failed_tape);
    return g_test_run();
}
