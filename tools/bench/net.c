/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Measuring one network, see net.h.
 */
#include <string.h>

#include "base/rng.h"
#include "codec/keyframe.h"
#include "models/params.h"
#include "net.h"

#define MIN_RUNS 3

struct BenchNet {
    NervBackend *be;
    const NervModel *model;
    NervPixels pixels, key_pixels;
    uint32_t batch;
    NervBuffer *frames, *keys;
    NervTrainer *trainer;
    /* decoding */
    NervTape *tape;
    NervTensor *input, *bytes;
    NervTensor *key_store, *key_index; /* NULL: the model has no keyframes */
    uint8_t *key_data;
    NervParams *params;
    NervExec *exec;
    float *encoding;
    uint8_t *picture;
    uint32_t run;
    size_t training_bytes, decoding_bytes;
};

static double now(void)
{
    return (double)g_get_monotonic_time() * 1e-6;
}

static uint8_t *make_noise(size_t bytes)
{
    NervRng rng;
    uint8_t *noise = g_malloc(bytes);
    nerv_rng_init(&rng, 1);
    for (size_t i = 0; i < bytes; i++)
        noise[i] = (uint8_t)nerv_rng_below(&rng, 256);
    return noise;
}

static size_t padded(const NervPixels *pixels)
{
    return (nerv_pixels_bytes(pixels) + 3) / 4 * 4;
}

/* So many pictures of noise. */
static NervBuffer *noise_buffer(BenchNet *b, const NervPixels *pixels, int32_t n, GError **error)
{
    const size_t bytes = padded(pixels) * (size_t)n;
    g_autofree uint8_t *noise = make_noise(bytes);
    NervBuffer *buffer = nerv_buffer_new(b->be, bytes, error);
    if (buffer && nerv_buffer_upload(buffer, 0, noise, bytes, error))
        return buffer;
    nerv_buffer_free(buffer);
    return NULL;
}

static bool open_trainer(BenchNet *b, GError **error)
{
    const size_t before = b->be->live_bytes;
    NervTrainSettings settings;
    nerv_train_settings_default(&settings);
    settings.epochs = 1000000; /* never done */
    settings.batch_size = b->batch;
    b->frames = noise_buffer(b, &b->pixels, b->model->clip.n_frames, error);
    if (b->frames && b->model->n_keys > 0)
        b->keys = noise_buffer(b, &b->key_pixels, b->model->n_keys, error);
    if (!b->frames || (b->model->n_keys > 0 && !b->keys))
        return false;
    const NervFootage footage = {
        .frames = b->frames, .pixels = &b->pixels, .keys = b->keys, .key_pixels = b->key_pixels
    };
    b->trainer = nerv_trainer_new(b->be, b->model, &footage, &settings, error);
    b->training_bytes = b->be->live_bytes - before;
    return b->trainer != NULL;
}

/* A run's two keyframes as codec/evaluator.c has them; that they are decoded from AV1 before is not the network's. */
static NervTensor *build_keys(BenchNet *b)
{
    const size_t bytes = padded(&b->key_pixels);
    if (b->model->n_keys == 0)
        return NULL;
    b->key_store =
        nerv_tape_leaf(b->tape, NERV_TENSOR_INPUT, NERV_U8, nerv_shape(2, 1, 1, (int32_t)bytes), "keys");
    b->key_index = nerv_tape_leaf(b->tape, NERV_TENSOR_INPUT, NERV_I32, nerv_shape(2, 1, 1, 1), "key-index");
    b->key_data = make_noise(2 * bytes);
    return nerv_from_pixels(b->tape, b->key_store, b->key_index, &b->key_pixels);
}

static bool open_decoder(BenchNet *b, GError **error)
{
    const NervModel *m = b->model;
    const size_t before = b->be->live_bytes;
    g_autofree NervTensor **leaves = g_new0(NervTensor *, m->n_params);
    g_autofree float *weights = g_new(float, m->n_weights);
    b->tape = nerv_tape_new();
    b->input = nerv_tape_leaf(b->tape, NERV_TENSOR_INPUT, NERV_F32,
                              nerv_shape(m->run_frames, m->input_floats, 1, 1), "input");
    nerv_params_leaves(m, b->tape, "", leaves);
    b->bytes =
        nerv_to_pixels(b->tape, nerv_model_build(m, b->tape, leaves, b->input, build_keys(b)), &b->pixels);
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
    b->encoding = g_new(float, (gsize)m->run_frames *(gsize)m->input_floats);
    b->picture = g_malloc(nerv_tensor_bytes(b->bytes));
    b->decoding_bytes = b->be->live_bytes - before;
    return true;
}

BenchNet *bench_net_new(NervBackend *be, const NervModel *model, int parts, uint32_t batch, GError **error)
{
    BenchNet *b = g_new0(BenchNet, 1);
    b->be = be;
    b->model = model;
    b->batch = batch;
    b->pixels =
        (NervPixels){ .format = NERV_PIXELS_RGB, .width = model->clip.width, .height = model->clip.height };
    nerv_keyframe_pixels(&b->pixels, &b->key_pixels);
    if ((!(parts & BENCH_TRAIN) || open_trainer(b, error)) &&
        (!(parts & BENCH_DECODE) || open_decoder(b, error)))
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
    nerv_buffer_free(b->keys);
    nerv_tape_free(b->tape);
    g_free(b->encoding);
    g_free(b->key_data);
    g_free(b->picture);
    g_free(b);
}

static bool write_keys(BenchNet *b, GError **error)
{
    static const int32_t both[] = { 0, 1 };
    return !b->key_store || (nerv_exec_write(b->exec, b->key_store, b->key_data, error) &&
                             nerv_exec_write(b->exec, b->key_index, both, error));
}

static bool decode_run(BenchNet *b, GError **error)
{
    nerv_model_input(b->model, (int32_t)(b->run++ % (uint32_t)b->model->n_runs), b->encoding);
    return write_keys(b, error) && nerv_exec_write(b->exec, b->input, b->encoding, error) &&
           nerv_exec_run(b->exec, error) && nerv_exec_read(b->exec, b->bytes, b->picture, error);
}

/* What a measurement counts: steps, or frames. */
static uint32_t per_run(const BenchNet *b, BenchPart part)
{
    return part == BENCH_DECODE ? (uint32_t)b->model->run_frames : 1;
}

static bool run_once(BenchNet *b, BenchPart part, GError **error)
{
    return part == BENCH_TRAIN ? nerv_trainer_step(b->trainer, error) : decode_run(b, error);
}

/* A step's end is known only by its loss; a decoded frame has been read. */
static void finish(BenchNet *b, BenchPart part)
{
    double loss, mse;
    if (part == BENCH_TRAIN)
        nerv_trainer_last(b->trainer, &loss, &mse);
}

double bench_net_run(BenchNet *b, BenchPart part, double seconds, GError **error)
{
    uint32_t n = 0;
    if (!run_once(b, part, error))
        return -1;
    finish(b, part);
    const double start = now();
    do {
        if (!run_once(b, part, error))
            return -1;
    } while (++n < MIN_RUNS || now() - start < seconds);
    finish(b, part);
    return (now() - start) / n / per_run(b, part);
}

bool bench_net_once(BenchNet *b, BenchPart part, GError **error)
{
    return run_once(b, part, error) && nerv_exec_wait(bench_net_exec(b, part), error);
}

NervExec *bench_net_exec(BenchNet *b, BenchPart part)
{
    return part == BENCH_TRAIN ? nerv_trainer_exec(b->trainer) : b->exec;
}

size_t bench_net_bytes(const BenchNet *b, BenchPart part)
{
    return part == BENCH_TRAIN ? b->training_bytes : b->decoding_bytes;
}

int64_t bench_net_macs(const BenchNet *b, BenchPart part)
{
    const NervPlan *plan = bench_net_exec((BenchNet *)b, part)->plan;
    int64_t macs = 0;
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        const NervNode *node = plan->steps[i].node;
        macs += node->op->macs ? node->op->macs(node) : 0;
    }
    return macs / per_run(b, part);
}
