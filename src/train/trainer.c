/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The fit: builds the training step's tape (frame, network, loss, gradients, Adam), and feeds it step by step
 * with frame numbers, positional encodings and learning rates. See trainer.h.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "models/params.h"
#include "train/trainer.h"

struct NervTrainer {
    NervBackend *be;
    const NervModel *model;
    NervTrainSettings settings;
    uint32_t n_steps, step;

    NervTape *tape;
    NervExec *exec;
    NervParams *w, *m, *v;
    NervTensor *input, *index, *hyper; /* INPUT leaves: [B,input_floats,1,1], [B,1,1,1], [1,4,1,1] */
    NervTensor *loss, *mse;            /* outputs, scalars */

    NervRng rng;
    uint32_t *order; /* permutation of the clip's frames */
    uint32_t next;   /* position in it */
    float *encoding; /* batch x input_floats */
    int32_t *frames; /* batch */

    double *loss_ring, *mse_ring; /* last epoch's worth of steps */
    uint32_t ring_size;
    double loss_sum, mse_sum, last_loss, last_mse;
    bool pending; /* a run whose loss has not been read */
    gint64 start_us;
};

void nerv_train_settings_default(NervTrainSettings *s)
{
    *s = (NervTrainSettings){
        .epochs = 100,
        .batch_size = 1,
        .learning_rate = 5e-4,
        .beta1 = 0.5,
        .beta2 = 0.999,
        .eps = 1e-8,
        .warmup = 0.2,
        .l1_weight = 0.7,
        .ssim_weight = 0.3,
        .mse_weight = 0.,
        .seed = 1,
    };
}

static bool settings_valid(const NervTrainSettings *s, GError **error)
{
    if (s->epochs >= 1 && s->batch_size >= 1 && s->learning_rate > 0. && s->learning_rate <= 10. &&
        s->warmup >= 0. && s->warmup <= 1. && s->beta1 >= 0. && s->beta1 < 1. && s->beta2 >= 0. &&
        s->beta2 < 1. && s->eps > 0.)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "training settings out of range: %u epochs, batch %u, learning rate %g, warm-up %g",
                s->epochs, s->batch_size, s->learning_rate, s->warmup);
    return false;
}

/* a + weight * b, where a may be NULL and a weight of 0 drops the term. */
static NervTensor *add_term(NervTape *t, NervTensor *sum, NervTensor *term, double weight, double shift)
{
    NervTensor *scaled = nerv_affine(t, term, (float)weight, (float)shift);
    return sum ? nerv_add(t, sum, scaled) : scaled;
}

/* The paper's equation 2: alpha L1 + (1-alpha)(1 - SSIM), alpha = 0.7. */
static NervTensor *build_loss(const NervTrainer *tr, NervTensor *rgb, NervTensor *target)
{
    const NervTrainSettings *s = &tr->settings;
    NervTensor *loss = NULL;
    if (s->l1_weight != 0.)
        loss = add_term(tr->tape, loss, nerv_l1(tr->tape, rgb, target), s->l1_weight, 0.);
    if (s->ssim_weight != 0.)
        loss = add_term(tr->tape, loss, nerv_ssim(tr->tape, rgb, target), -s->ssim_weight, s->ssim_weight);
    if (s->mse_weight != 0. || !loss)
        loss = add_term(tr->tape, loss, nerv_mse(tr->tape, rgb, target), s->mse_weight, 0.);
    return loss;
}

/* One step as one tape. `leaves` receives weights, then first and second moments: 3 n_params leaves. */
static void build_tape(NervTrainer *tr, const NervPixels *pixels, NervTensor **store, NervTensor **leaves)
{
    const int32_t batch = (int32_t)tr->settings.batch_size;
    const uint32_t n = tr->model->n_params;
    const int32_t frame_bytes = (int32_t)((nerv_pixels_bytes(pixels) + 3) / 4 * 4);
    const NervAdamAttr adam = { (float)tr->settings.beta1, (float)tr->settings.beta2, (float)tr->settings.eps,
                                0.f };
    NervTape *t = tr->tape = nerv_tape_new();
    NervTensor **grads = g_new0(NervTensor *, n);

    *store = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_U8,
                            nerv_shape(tr->model->clip.n_frames, 1, 1, frame_bytes), "frames");
    tr->input = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32,
                               nerv_shape(batch, tr->model->input_floats, 1, 1), "input");
    tr->index = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_I32, nerv_shape(batch, 1, 1, 1), "index");
    tr->hyper = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1), "hyper");
    nerv_params_leaves(tr->model, t, "", leaves);
    nerv_params_leaves(tr->model, t, "m.", leaves + n);
    nerv_params_leaves(tr->model, t, "v.", leaves + 2 * n);

    NervTensor *target = nerv_from_pixels(t, *store, tr->index, pixels);
    NervTensor *rgb = nerv_model_build(tr->model, t, leaves, tr->input);
    tr->loss = build_loss(tr, rgb, target);
    tr->mse = nerv_mse(t, rgb, target);
    nerv_tape_output(t, tr->loss, "loss");
    nerv_tape_output(t, tr->mse, "mse");
    nerv_tape_grad(t, tr->loss, leaves, n, grads);
    for (uint32_t i = 0; i < n; i++)
        nerv_adam(t, leaves[i], grads[i], leaves[n + i], leaves[2 * n + i], tr->hyper, &adam);
    g_free(grads);
}

static bool bind_all(NervTrainer *tr, NervBuffer *frames, NervTensor *store, NervTensor *const *leaves,
                     GError **error)
{
    const uint32_t n = tr->model->n_params;
    return nerv_exec_bind(tr->exec, store, frames, 0, error) &&
           nerv_params_bind(tr->w, tr->exec, leaves, error) &&
           nerv_params_bind(tr->m, tr->exec, leaves + n, error) &&
           nerv_params_bind(tr->v, tr->exec, leaves + 2 * n, error);
}

static void make_schedule(NervTrainer *tr)
{
    const uint64_t n_frames = (uint64_t)tr->model->clip.n_frames, batch = tr->settings.batch_size;
    tr->n_steps = (uint32_t)MIN((n_frames * tr->settings.epochs + batch - 1) / batch, UINT32_MAX);
    tr->ring_size = (uint32_t)((n_frames + batch - 1) / batch);
    tr->loss_ring = g_new0(double, tr->ring_size);
    tr->mse_ring = g_new0(double, tr->ring_size);
    tr->order = g_new(uint32_t, n_frames);
    for (uint32_t i = 0; i < n_frames; i++)
        tr->order[i] = i;
    tr->next = (uint32_t)n_frames; /* shuffled at the first step */
    tr->encoding = g_new0(float, batch *(uint64_t)tr->model->input_floats);
    tr->frames = g_new0(int32_t, batch);
    /* A stream of its own: the weights' draws, which depend on the model's size, must not shift the order of
     * frames. */
    nerv_rng_init(&tr->rng, tr->settings.seed ^ UINT64_C(0x6672616d65730001));
}

NervTrainer *nerv_trainer_new(NervBackend *be, const NervModel *model, NervBuffer *frames,
                              const NervPixels *pixels, const NervTrainSettings *settings, GError **error)
{
    if (!settings_valid(settings, error))
        return NULL;
    NervTrainer *tr = g_new0(NervTrainer, 1);
    NervTensor *store = NULL, **leaves = g_new0(NervTensor *, 3 * model->n_params);
    float *initial = NULL;

    tr->be = be;
    tr->model = model;
    tr->settings = *settings;
    tr->settings.batch_size = MIN(settings->batch_size, (uint32_t)model->clip.n_frames);
    build_tape(tr, pixels, &store, leaves);
    tr->exec = nerv_exec_new(be, tr->tape, error);
    if (!tr->exec || !(tr->w = nerv_params_new(be, model, error)) ||
        !(tr->m = nerv_params_new(be, model, error)) || !(tr->v = nerv_params_new(be, model, error)) ||
        !bind_all(tr, frames, store, leaves, error))
        goto error;
    make_schedule(tr);

    initial = g_try_new(float, (gsize)model->n_weights);
    if (!initial) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the initial weights");
        goto error;
    }
    nerv_model_init_params(model, tr->settings.seed, initial);
    if (!nerv_params_upload(tr->w, initial, error))
        goto error;
    g_free(initial);
    g_free(leaves);
    return tr;

error:
    g_free(initial);
    g_free(leaves);
    nerv_trainer_free(tr);
    return NULL;
}

void nerv_trainer_free(NervTrainer *tr)
{
    if (!tr)
        return;
    nerv_exec_free(tr->exec);
    nerv_params_free(tr->w);
    nerv_params_free(tr->m);
    nerv_params_free(tr->v);
    nerv_tape_free(tr->tape);
    g_free(tr->order);
    g_free(tr->encoding);
    g_free(tr->frames);
    g_free(tr->loss_ring);
    g_free(tr->mse_ring);
    g_free(tr);
}

/* Fisher-Yates; epochs follow each other without a gap, so that every batch is full. */
static uint32_t next_frame(NervTrainer *tr)
{
    const uint32_t n = (uint32_t)tr->model->clip.n_frames;
    if (tr->next == n) {
        for (uint32_t i = n - 1; i > 0; i--) {
            const uint32_t j = nerv_rng_below(&tr->rng, i + 1), swap = tr->order[i];
            tr->order[i] = tr->order[j];
            tr->order[j] = swap;
        }
        tr->next = 0;
    }
    return tr->order[tr->next++];
}

static bool write_inputs(NervTrainer *tr, GError **error)
{
    const NervTrainSettings *s = &tr->settings;
    for (uint32_t i = 0; i < s->batch_size; i++) {
        tr->frames[i] = (int32_t)next_frame(tr);
        nerv_model_input(tr->model, tr->frames[i], tr->encoding + (size_t)i * tr->model->input_floats);
    }
    const float hyper[4] = {
        (float)nerv_schedule_lr(s->learning_rate, s->warmup, tr->step, tr->n_steps),
        (float)(1. - pow(s->beta1, tr->step + 1.)),
        (float)(1. - pow(s->beta2, tr->step + 1.)),
        0.f,
    };
    return nerv_exec_write(tr->exec, tr->input, tr->encoding, error) &&
           nerv_exec_write(tr->exec, tr->index, tr->frames, error) &&
           nerv_exec_write(tr->exec, tr->hyper, hyper, error);
}

/* Takes the finished step's loss into the window. */
static bool collect(NervTrainer *tr, GError **error)
{
    float loss, mse;
    if (!tr->pending)
        return true;
    if (!nerv_exec_read(tr->exec, tr->loss, &loss, error) || !nerv_exec_read(tr->exec, tr->mse, &mse, error))
        return false;
    tr->pending = false;
    const uint32_t at = (tr->step - 1) % tr->ring_size;
    tr->loss_sum += loss - tr->loss_ring[at];
    tr->mse_sum += mse - tr->mse_ring[at];
    tr->loss_ring[at] = tr->last_loss = loss;
    tr->mse_ring[at] = tr->last_mse = mse;
    if (!isfinite(loss)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "the fit diverged at step %u; lower the learning rate", tr->step);
        return false;
    }
    return true;
}

bool nerv_trainer_step(NervTrainer *tr, GError **error)
{
    if (nerv_trainer_done(tr))
        return true;
    if (tr->step == 0)
        tr->start_us = g_get_monotonic_time();
    if (!collect(tr, error) || !write_inputs(tr, error) || !nerv_exec_run(tr->exec, error))
        return false;
    tr->step++;
    tr->pending = true;
    return tr->step < tr->n_steps || collect(tr, error);
}

bool nerv_trainer_done(const NervTrainer *tr)
{
    return tr->step >= tr->n_steps;
}

void nerv_trainer_progress(const NervTrainer *tr, NervTrainProgress *p)
{
    const uint32_t read = tr->step - tr->pending, window = MIN(read, tr->ring_size);
    const double seconds = (double)(g_get_monotonic_time() - tr->start_us) * 1e-6;
    *p = (NervTrainProgress){ .step = tr->step, .n_steps = tr->n_steps };
    if (window) {
        p->loss = tr->loss_sum / window;
        p->psnr = -10. * log10(MAX(tr->mse_sum / window, 1e-12));
    }
    if (tr->step) {
        p->steps_per_second = tr->step / MAX(seconds, 1e-6);
        p->eta_seconds = (tr->n_steps - tr->step) / p->steps_per_second;
    }
}

void nerv_trainer_last(NervTrainer *tr, double *loss, double *mse)
{
    collect(tr, NULL);
    *loss = tr->last_loss;
    *mse = tr->last_mse;
}

NervExec *nerv_trainer_exec(NervTrainer *tr)
{
    return tr->exec;
}

bool nerv_trainer_get_params(NervTrainer *tr, float *dst, GError **error)
{
    return nerv_exec_wait(tr->exec, error) && nerv_params_download(tr->w, dst, error);
}

bool nerv_trainer_set_params(NervTrainer *tr, const float *src, GError **error)
{
    return nerv_exec_wait(tr->exec, error) && nerv_params_upload(tr->w, src, error) &&
           nerv_params_clear(tr->m, error) && nerv_params_clear(tr->v, error);
}
