/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Measuring one network, see net.h.
 */
#include <string.h>

#include "base/rng.h"
#include "models/params.h"
#include "net.h"

#define MIN_RUNS 3

struct BenchNet {
    NervBackend *be;
    const NervModel *model;
    NervPixels pixels;
    uint32_t batch;
    NervBuffer *frames;
    NervTrainer *trainer;
    /* decoding */
    NervTape *tape;
    NervTensor *input, *bytes;
    NervParams *params;
    NervExec *exec;
    float *encoding;
    uint8_t *picture;
    uint32_t frame;
    size_t training_bytes, decoding_bytes;
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
    settings.batch_size = b->batch;
    b->frames = nerv_buffer_new(b->be, bytes, error);
    if (!b->frames || !upload_noise(b->frames, bytes, error))
        return false;
    b->trainer = nerv_trainer_new(
        b->be, b->model, &(NervFootage){ .frames = b->frames, .pixels = &b->pixels }, &settings, error);
    b->training_bytes = b->be->live_bytes - before;
    return b->trainer != NULL;
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
    b->bytes = nerv_to_pixels(b->tape, nerv_model_build(m, b->tape, leaves, b->input, NULL), &b->pixels);
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

BenchNet *bench_net_new(NervBackend *be, const NervModel *model, int parts, uint32_t batch, GError **error)
{
    BenchNet *b = g_new0(BenchNet, 1);
    b->be = be;
    b->model = model;
    b->batch = batch;
    b->pixels =
        (NervPixels){ .format = NERV_PIXELS_RGB, .width = model->clip.width, .height = model->clip.height };
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
    nerv_tape_free(b->tape);
    g_free(b->encoding);
    g_free(b->picture);
    g_free(b);
}

static bool decode_frame(BenchNet *b, GError **error)
{
    nerv_model_input(b->model, (int32_t)(b->frame++ % (uint32_t)b->model->clip.n_frames), b->encoding);
    return nerv_exec_write(b->exec, b->input, b->encoding, error) && nerv_exec_run(b->exec, error) &&
           nerv_exec_read(b->exec, b->bytes, b->picture, error);
}

static bool run_once(BenchNet *b, BenchPart part, GError **error)
{
    return part == BENCH_TRAIN ? nerv_trainer_step(b->trainer, error) : decode_frame(b, error);
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
    return (now() - start) / n;
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
    return macs;
}
