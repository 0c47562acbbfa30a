/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decoding ahead, see ahead.h. The network goes through the writer and reader of the stream's header, which give it a clip of as
 * many frames as it takes: at a clip's end nothing is left to compute ahead.
 */
#include "ahead.h"
#include "codec/renderer.h"

#define WARM_UP  24 /* frames: more than are ever ahead */
#define MIN_RUNS 8
#define FRAMES   INT32_MAX

typedef struct {
    NervModel *model;
    NervParams *params;
    NervRenderer *renderer;
    uint8_t *picture;
    NervFrame frame;
    int32_t next;
} Player;

static NervModel *long_clip(const NervModel *like, GError **error)
{
    const NervClip clip = { like->clip.width, like->clip.height, FRAMES };
    NervBitWriter w;
    NervBitReader r;
    nerv_writer_init(&w);
    nerv_model_write(like, &w);
    nerv_reader_init(&r, w.bytes->data, w.bytes->len);
    NervModel *model = nerv_model_read(&r, &clip, error);
    nerv_writer_clear(&w);
    return model;
}

static bool player_open(Player *p, NervBackend *be, const NervModel *like, GError **error)
{
    const NervPixels rgb = { .format = NERV_PIXELS_RGB,
                             .width = like->clip.width,
                             .height = like->clip.height };
    NervPlane plane[3];
    p->model = long_clip(like, error);
    p->params = p->model ? nerv_params_new(be, p->model, error) : NULL;
    if (!p->params)
        return false;
    g_autofree float *weights = g_new(float, p->model->n_weights);
    nerv_model_init_params(p->model, 1, weights);
    if (!nerv_params_upload(p->params, weights, error))
        return false;
    nerv_pixels_planes(&rgb, plane);
    p->picture = g_malloc(nerv_pixels_bytes(&rgb));
    p->frame = (NervFrame){ { p->picture }, { (int32_t)plane[0].stride } };
    p->renderer = nerv_renderer_new(be, p->params, NULL, &rgb, error);
    return p->renderer != NULL;
}

static void player_close(Player *p)
{
    nerv_renderer_free(p->renderer);
    nerv_params_free(p->params);
    nerv_model_free(p->model);
    g_free(p->picture);
}

/* Seconds from a frame to the next, -1 on error. */
static double play(Player *p, uint32_t n_least, double seconds, GError **error)
{
    const gint64 start = g_get_monotonic_time();
    double spent = 0;
    uint32_t n = 0;
    while (n < n_least || spent < seconds) {
        if (!nerv_renderer_get(p->renderer, p->next++, &p->frame, error))
            return -1;
        spent = (double)(g_get_monotonic_time() - start) * 1e-6;
        n++;
    }
    return spent / n;
}

double bench_ahead_run(NervBackend *be, const NervModel *model, double seconds, uint32_t *n_lanes,
                       GError **error)
{
    Player p = { .model = NULL };
    NervRendererStats stats = { .n_lanes = 0 };
    double result = -1;
    if (player_open(&p, be, model, error) && play(&p, WARM_UP, 0, error) >= 0) {
        result = play(&p, MIN_RUNS, seconds, error);
        nerv_renderer_get_stats(p.renderer, &stats);
    }
    player_close(&p);
    *n_lanes = stats.n_lanes;
    return result;
}
