/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Measuring one network, see net.h.
 */
#include <string.h>

#include "base/rng.h"
#include "models/params.h"
#include "net.h"

#define N_FRAMES 16
#define MIN_RUNS 3

struct BenchNet {
    NervBackend *be;
    const NervModel *model;
    NervPixels pixels;
    NervBuffer *frames;
    NervTrainer *trainer;
    NervTape *step; /* the training step's ops, for bench_net_ops(); not run as a whole */
    /* decoding */
    NervTape *tape;
    NervTensor *input, *bytes;
    NervParams *params;
    NervExec *exec;
    float *encoding;
    uint8_t *picture;
    uint32_t frame;
    size_t training_bytes, decoding_bytes;
    int64_t forward_macs;
};

static double now(void)
{
    return (double)g_get_monotonic_time() * 1e-6;
}

static bool upload_noise(NervBuffer *buf, size_t bytes, GError **error)
{
    NervRng rng;
    g_autofree uint8_t *noise = g_malloc(bytes);
    nerv_rng_init(&rng, 1);
    for (size_t i = 0; i < bytes; i++)
        noise[i] = (uint8_t)nerv_rng_below(&rng, 256);
    return nerv_buffer_upload(buf, 0, noise, bytes, error);
}

static size_t padded_frame(const BenchNet *b)
{
    return (nerv_pixels_bytes(&b->pixels) + 3) / 4 * 4;
}

static bool open_trainer(BenchNet *b, GError **error)
{
    const size_t before = b->be->live_bytes, bytes = padded_frame(b) * (size_t)b->model->clip.n_frames;
    NervTrainSettings settings;
    nerv_train_settings_default(&settings);
    settings.epochs = 1000000; /* never done */
    b->frames = nerv_buffer_new(b->be, bytes, error);
    if (!b->frames || !upload_noise(b->frames, bytes, error))
        return false;
    b->trainer = nerv_trainer_new(b->be, b->model, b->frames, &b->pixels, &settings, error);
    b->training_bytes = b->be->live_bytes - before;
    return b->trainer != NULL;
}

/* The same step as the trainer's, as a tape whose nodes can be looked at. */
static bool build_step(BenchNet *b, GError **error)
{
    const NervModel *m = b->model;
    const uint32_t n = m->n_params;
    const NervAdamAttr adam = { 0.5f, 0.999f, 1e-8f, 0.f };
    NervTape *t = b->step = nerv_tape_new();
    g_autofree NervTensor **leaves = g_new0(NervTensor *, 3 * n), **grads = g_new0(NervTensor *, n);
    NervTensor *store =
        nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_U8,
                       nerv_shape(m->clip.n_frames, 1, 1, (int32_t)padded_frame(b)), "frames");
    NervTensor *index = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_I32, nerv_shape(1, 1, 1, 1), "index");
    NervTensor *hyper = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1), "hyper");
    NervTensor *input =
        nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, m->input_floats, 1, 1), "input");
    nerv_params_leaves(m, t, "", leaves);
    nerv_params_leaves(m, t, "m.", leaves + n);
    nerv_params_leaves(m, t, "v.", leaves + 2 * n);
    NervTensor *target = nerv_from_pixels(t, store, index, &b->pixels);
    NervTensor *rgb = nerv_model_build(m, t, leaves, input);
    b->forward_macs = t->error ? 0 : nerv_tape_macs(t);
    NervTensor *loss = nerv_add(t, nerv_affine(t, nerv_l1(t, rgb, target), 0.7f, 0.f),
                                nerv_affine(t, nerv_ssim(t, rgb, target), -0.3f, 0.3f));
    nerv_tape_output(t, nerv_mse(t, rgb, target), "mse");
    nerv_tape_output(t, loss, "loss");
    nerv_tape_grad(t, loss, leaves, n, grads);
    for (uint32_t i = 0; i < n; i++)
        nerv_adam(t, leaves[i], grads[i], leaves[n + i], leaves[2 * n + i], hyper, &adam);
    return nerv_tape_check(t, error);
}

static bool open_decoder(BenchNet *b, GError **error)
{
    const NervModel *m = b->model;
    const size_t before = b->be->live_bytes;
    g_autofree NervTensor **leaves = g_new0(NervTensor *, m->n_params);
    g_autofree float *weights = g_new(float, m->n_weights);
    b->tape = nerv_tape_new();
    b->input =
        nerv_tape_leaf(b->tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, m->input_floats, 1, 1), "input");
    nerv_params_leaves(m, b->tape, "", leaves);
    b->bytes = nerv_to_pixels(b->tape, nerv_model_build(m, b->tape, leaves, b->input), &b->pixels);
    nerv_tape_output(b->tape, b->bytes, "pixels");
    if (!nerv_tape_check(b->tape, error))
        return false;
    b->exec = nerv_exec_new(b->be, b->tape, error);
    b->params = b->exec ? nerv_params_new(b->be, m, error) : NULL;
    if (!b->params || !nerv_params_bind(b->params, b->exec, leaves, error))
        return false;
    nerv_model_init_params(m, 1, weights);
    if (!nerv_params_upload(b->params, weights, error))
        return false;
    b->encoding = g_new(float, m->input_floats);
    b->picture = g_malloc(nerv_tensor_bytes(b->bytes));
    b->decoding_bytes = b->be->live_bytes - before;
    return true;
}

BenchNet *bench_net_new(NervBackend *be, const NervModel *model, GError **error)
{
    BenchNet *b = g_new0(BenchNet, 1);
    b->be = be;
    b->model = model;
    b->pixels =
        (NervPixels){ .format = NERV_PIXELS_RGB, .width = model->clip.width, .height = model->clip.height };
    if (build_step(b, error) && open_trainer(b, error) && open_decoder(b, error))
        return b;
    bench_net_free(b);
    return NULL;
}

void bench_net_free(BenchNet *b)
{
    if (!b)
        return;
    nerv_trainer_free(b->trainer);
    nerv_exec_free(b->exec);
    nerv_params_free(b->params);
    nerv_buffer_free(b->frames);
    nerv_tape_free(b->tape);
    nerv_tape_free(b->step);
    g_free(b->encoding);
    g_free(b->picture);
    g_free(b);
}

double bench_net_train(BenchNet *b, double seconds, GError **error)
{
    double loss, mse;
    uint32_t n = 0;
    if (!nerv_trainer_step(b->trainer, error))
        return -1;
    nerv_trainer_last(b->trainer, &loss, &mse);
    const double start = now();
    do {
        if (!nerv_trainer_step(b->trainer, error))
            return -1;
    } while (++n < MIN_RUNS || now() - start < seconds);
    nerv_trainer_last(b->trainer, &loss, &mse);
    return (now() - start) / n;
}

static bool decode_frame(BenchNet *b, GError **error)
{
    nerv_model_input(b->model, (int32_t)(b->frame++ % (uint32_t)b->model->clip.n_frames), b->encoding);
    return nerv_exec_write(b->exec, b->input, b->encoding, error) && nerv_exec_run(b->exec, error) &&
           nerv_exec_read(b->exec, b->bytes, b->picture, error);
}

double bench_net_decode(BenchNet *b, double seconds, GError **error)
{
    uint32_t n = 0;
    if (!decode_frame(b, error))
        return -1;
    const double start = now();
    do {
        if (!decode_frame(b, error))
            return -1;
    } while (++n < MIN_RUNS || now() - start < seconds);
    return (now() - start) / n;
}

size_t bench_net_training_bytes(const BenchNet *b)
{
    return b->training_bytes;
}

size_t bench_net_decoding_bytes(const BenchNet *b)
{
    return b->decoding_bytes;
}

int64_t bench_net_forward_macs(const BenchNet *b)
{
    return b->forward_macs;
}

int64_t bench_net_training_macs(const BenchNet *b)
{
    return nerv_tape_macs(b->step);
}

/* --- one op by itself --- */

typedef struct {
    NervTape *tape;
    NervExec *exec;
    GPtrArray *buffers;
} Lone;

static void lone_clear(Lone *l)
{
    nerv_exec_free(l->exec);
    if (l->buffers)
        g_ptr_array_unref(l->buffers);
    nerv_tape_free(l->tape);
}

static void buffer_free(gpointer data)
{
    nerv_buffer_free(data);
}

/* Makes the tape, whose leaves are all PARAM, ready to run on noise. Floats are small numbers, bytes anything, integers 0. */
static bool lone_open(Lone *l, NervBackend *be, GError **error)
{
    NervRng rng;
    nerv_rng_init(&rng, 1);
    l->buffers = g_ptr_array_new_with_free_func(buffer_free);
    if (!nerv_tape_check(l->tape, error) || !(l->exec = nerv_exec_new(be, l->tape, error)))
        return false;
    for (guint i = 0; i < l->tape->tensors->len; i++) {
        const NervTensor *t = g_ptr_array_index(l->tape->tensors, i);
        if (t->kind != NERV_TENSOR_PARAM)
            continue;
        const size_t bytes = nerv_tensor_bytes(t);
        g_autofree uint8_t *values = g_malloc0(bytes);
        if (t->dtype == NERV_F32)
            for (size_t k = 0; k < bytes / 4; k++)
                ((float *)(void *)values)[k] = nerv_rng_uniform(&rng, 0.01f, 1.f);
        NervBuffer *buf = nerv_buffer_new(be, bytes, error);
        if (!buf)
            return false;
        g_ptr_array_add(l->buffers, buf);
        if (!nerv_buffer_upload(buf, 0, values, bytes, error) || !nerv_exec_bind(l->exec, t, buf, 0, error))
            return false;
    }
    return true;
}

static double lone_time(Lone *l, double seconds, GError **error)
{
    uint32_t n = 0;
    if (!nerv_exec_run(l->exec, error) || !nerv_exec_wait(l->exec, error))
        return -1;
    const double start = now();
    do {
        if (!nerv_exec_run(l->exec, error))
            return -1;
    } while (++n < MIN_RUNS || now() - start < seconds);
    return nerv_exec_wait(l->exec, error) ? (now() - start) / n : -1;
}

static bool is_read(const NervTape *tape, const NervTensor *t)
{
    if (t->is_output)
        return true;
    for (guint i = 0; i < tape->nodes->len; i++) {
        const NervNode *node = g_ptr_array_index(tape->nodes, i);
        for (uint32_t j = 0; j < node->n_in; j++)
            if (node->in[j] == t)
                return true;
    }
    return false;
}

/* A tape with a copy of one node of `whole`, the same outputs alive. An operand used twice is one leaf. */
static NervTape *copy_node(const NervTape *whole, const NervNode *node)
{
    NervTape *t = nerv_tape_new();
    NervTensor *in[NERV_MAX_IN] = { NULL };
    for (uint32_t j = 0; j < node->n_in; j++) {
        for (uint32_t k = 0; k < j; k++)
            if (node->in[k] == node->in[j])
                in[j] = in[k];
        if (!in[j])
            in[j] = nerv_tape_leaf(t, NERV_TENSOR_PARAM, node->in[j]->dtype, node->in[j]->shape, NULL);
    }
    const NervTensor *y = nerv_tape_add(t, node->op, in, node->n_in, node->attr, NERV_MAX_ATTR_BYTES);
    for (uint32_t j = 0; y && j < node->op->n_out; j++)
        if (is_read(whole, node->out[j]))
            nerv_tape_output(t, y->node->out[j], NULL);
    return t;
}

static char *describe_shapes(const NervNode *node)
{
    GString *s = g_string_new(NULL);
    for (uint32_t j = 0; j < node->n_in; j++) {
        const NervShape d = node->in[j]->shape;
        g_string_append_printf(s, "%s%dx%dx%dx%d", j ? " " : "", d.n, d.c, d.h, d.w);
    }
    return g_string_free(s, FALSE);
}

static int64_t traffic_bytes(const NervTape *whole, const NervNode *node)
{
    int64_t bytes = 0;
    for (uint32_t j = 0; j < node->n_in; j++)
        bytes += (int64_t)nerv_tensor_bytes(node->in[j]);
    for (uint32_t j = 0; j < node->op->n_out; j++)
        if (node->op->alias[j] || is_read(whole, node->out[j]))
            bytes += (int64_t)nerv_tensor_bytes(node->out[j]);
    return bytes;
}

/* Whether a node of a training step is run at all. */
static bool is_dead(const NervTape *whole, const NervNode *node)
{
    for (uint32_t j = 0; j < node->op->n_out; j++)
        if (node->op->alias[j] || is_read(whole, node->out[j]))
            return false;
    return true;
}

static int by_cost(gconstpointer a, gconstpointer b)
{
    const BenchOp *x = a, *y = b;
    const double cx = x->seconds * x->count, cy = y->seconds * y->count;
    return cx > cy ? -1 : cx < cy;
}

static void bench_op_clear(gpointer data)
{
    g_free(((BenchOp *)data)->shapes);
}

GArray *bench_net_ops(BenchNet *b, double seconds)
{
    GArray *ops = g_array_new(FALSE, FALSE, sizeof(BenchOp));
    g_array_set_clear_func(ops, bench_op_clear);
    for (guint i = 0; i < b->step->nodes->len; i++) {
        const NervNode *node = g_ptr_array_index(b->step->nodes, i);
        if (node->op->is_view || is_dead(b->step, node))
            continue;
        BenchOp op = { node->op->name, describe_shapes(node), 1, -1, 0, traffic_bytes(b->step, node) };
        guint k = 0;
        while (k < ops->len && !(g_array_index(ops, BenchOp, k).op == op.op &&
                                 strcmp(g_array_index(ops, BenchOp, k).shapes, op.shapes) == 0))
            k++;
        if (k < ops->len) {
            g_array_index(ops, BenchOp, k).count++;
            g_free(op.shapes);
            continue;
        }
        Lone lone = { .tape = copy_node(b->step, node) };
        g_autoptr(GError) error = NULL;
        op.macs = node->op->macs ? node->op->macs(node) : 0;
        if (lone_open(&lone, b->be, &error))
            op.seconds = lone_time(&lone, seconds, &error);
        if (op.seconds < 0)
            g_printerr("%s %s: %s\n", op.op, op.shapes, error ? error->message : "failed");
        lone_clear(&lone);
        g_array_append_val(ops, op);
    }
    g_array_sort(ops, by_cost);
    return ops;
}

double bench_conv_gmacs(NervBackend *be, const int shape[6], double seconds, GError **error)
{
    const int n = shape[0], cin = shape[1], cout = shape[2], h = shape[3], w = shape[4], k = shape[5];
    Lone lone = { .tape = nerv_tape_new() };
    NervTape *t = lone.tape;
    NervTensor *x = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(n, cin, h, w), "x");
    NervTensor *wt = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(cout, cin, k, k), "w");
    NervTensor *bias = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(1, cout, 1, 1), "b");
    nerv_tape_output(t, nerv_conv2d(t, x, wt, bias, 1, (k - 1) / 2), "y");
    const double s = lone_open(&lone, be, error) ? lone_time(&lone, seconds, error) : -1;
    lone_clear(&lone);
    return s > 0 ? (double)n * cin * cout * h * w * k * k / s * 1e-9 : -1;
}
