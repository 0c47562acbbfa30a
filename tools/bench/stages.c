/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fits and ways of storing them, see stages.h. A fit is made once and stored in all ways: quality then differs by what storing loses, not by
 * another fit's luck.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "codec/evaluator.h"
#include "codec/minmax.h"
#include "codec/units.h"
#include "quality.h"
#include "stages.h"

#define ROW_BITS 30 /* of a row in coding 2, docs/bitstream.md */

const char *stage_coding_name(StageCoding coding)
{
    static const char *const names[] = { "float", "published", "fixed", "huffman", "range", "context" };
    return names[coding];
}

/* --- the clip --- */

/* One picture as the trainer takes them, without what GStreamer has between rows. */
static bool copy_picture(const RdClip *clip, guint i, uint8_t *dst, GError **error)
{
    GstVideoFrame f;
    if (!gst_video_frame_map(&f, &clip->rgb.info, g_ptr_array_index(clip->rgb.frames, i), GST_MAP_READ)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "a picture cannot be read");
        return false;
    }
    const size_t row = (size_t)GST_VIDEO_FRAME_WIDTH(&f) * 3;
    const uint8_t *src = GST_VIDEO_FRAME_PLANE_DATA(&f, 0);
    for (int y = 0; y < GST_VIDEO_FRAME_HEIGHT(&f); y++)
        memcpy(dst + (size_t)y * row, src + (size_t)y * (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(&f, 0), row);
    gst_video_frame_unmap(&f);
    return true;
}

bool stage_bench_init(StageBench *b, GError **error)
{
    const guint n = b->clip->rgb.frames->len;
    b->pixels = (NervPixels){ .format = NERV_PIXELS_RGB,
                              .width = b->model->clip.width,
                              .height = b->model->clip.height,
                              .matrix = NERV_MATRIX_RGB };
    const size_t bytes = (nerv_pixels_bytes(&b->pixels) + 3) / 4 * 4;
    g_autofree uint8_t *picture = g_malloc0(bytes);
    b->frames = nerv_buffer_new(b->be, bytes * n, error);
    for (guint i = 0; b->frames && i < n; i++)
        if (!copy_picture(b->clip, i, picture, error) ||
            !nerv_buffer_upload(b->frames, i * bytes, picture, bytes, error))
            return false;
    return b->frames != NULL;
}

void stage_bench_clear(StageBench *b)
{
    nerv_buffer_free(b->frames);
    b->frames = NULL;
}

/* --- fits --- */

void stage_fit_clear(StageFit *fit)
{
    g_clear_pointer(&fit->weights, g_free);
    g_clear_pointer(&fit->steps, g_free);
}

bool stage_fit(const StageBench *b, const NervTrainSettings *settings, StageFit *fit, GError **error)
{
    const gint64 start = g_get_monotonic_time();
    *fit = (StageFit){ .weights = g_new(float, b->model->n_weights),
                       .steps = settings->bits ? g_new(uint16_t, nerv_model_steps(b->model)) : NULL };
    NervTrainer *tr = nerv_trainer_new(
        b->be, b->model, &(NervFootage){ .frames = b->frames, .pixels = &b->pixels }, settings, error);
    bool ok = tr != NULL;
    while (ok && !nerv_trainer_done(tr))
        ok = nerv_trainer_step(tr, error);
    ok = ok && nerv_trainer_get_params(tr, fit->weights, error) &&
         (!fit->steps || nerv_trainer_get_steps(tr, fit->steps, error));
    nerv_trainer_free(tr);
    fit->seconds = (double)(g_get_monotonic_time() - start) * 1e-6;
    if (!ok)
        stage_fit_clear(fit);
    return ok;
}

/* --- streams --- */

static void append(GByteArray *out, NervUnitType type, const NervBitWriter *payload)
{
    nerv_unit_write(out, type, payload->bytes->data, payload->bytes->len);
    g_byte_array_set_size(payload->bytes, 0);
}

/* All of a stream of one segment around a network's payload, as nervenc writes it. */
static GByteArray *stream_of(const StageBench *b, const NervBitWriter *network)
{
    const GstVideoInfo *info = &b->clip->rgb.info;
    const uint32_t n = b->clip->rgb.frames->len, fps_n = (uint32_t)GST_VIDEO_INFO_FPS_N(info);
    const NervSequence s = { .version = NERV_STREAM_VERSION,
                             .n_frames = n,
                             .width = (uint32_t)b->pixels.width,
                             .height = (uint32_t)b->pixels.height,
                             .fps_n = fps_n,
                             .fps_d = fps_n ? (uint32_t)GST_VIDEO_INFO_FPS_D(info) : 1,
                             .par_n = 1,
                             .par_d = 1,
                             .primaries = 2,
                             .transfer = 2,
                             .full_range = 1,
                             .format = NERV_PIXELS_RGB };
    GByteArray *out = g_byte_array_new();
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_sequence_write(&s, &w);
    append(out, NERV_UNIT_SEQUENCE, &w);
    nerv_unit_write(out, NERV_UNIT_NETWORK, network->bytes->data, network->bytes->len);
    for (uint32_t i = 0; i < n; i++) {
        const int64_t pts = (int64_t)GST_BUFFER_PTS((GstBuffer *)g_ptr_array_index(b->clip->rgb.frames, i));
        nerv_frame_write(&(NervFrameHeader){ .index = i, .pts_delta_ns = pts - nerv_sequence_pts(&s, i) },
                         &w);
        append(out, NERV_UNIT_FRAME, &w);
    }
    nerv_writer_clear(&w);
    return out;
}

static bool write_network(const StageBench *b, const StageFit *fit, const Stage *stage, NervBitWriter *w,
                          GError **error)
{
    switch (stage->coding) {
    case STAGE_CONTEXT:
        return nerv_network_write_steps(b->model, fit->weights, fit->steps, NULL, w, error);
    case STAGE_RANGE:
        return nerv_network_write(b->model, fit->weights, stage->bits, w, error);
    default:
        return nerv_network_write_huffman(b->model, fit->weights, stage->bits, w, error);
    }
}

static bool decode_file(const StageBench *b, const GByteArray *stream, Stage *stage, GError **error)
{
    g_autofree char *file = g_build_filename(b->directory, "stage.nerv", NULL);
    RdQuality q;
    const bool ok = g_file_set_contents(file, (const char *)stream->data, stream->len, error) &&
                    rd_clip_compare(b->clip, file, b->decode, &q, error);
    g_unlink(file);
    if (!ok)
        return false;
    stage->psnr_rgb = q.psnr_rgb;
    stage->psnr_rgb_frames = q.psnr_rgb_frames;
    return true;
}

/* --- what is counted --- */

static int64_t count_zeros(const StageBench *b, const StageFit *fit)
{
    int64_t zeros = 0;
    for (int64_t i = 0; i < b->model->n_weights; i++)
        zeros += fit->weights[i] == 0.f;
    return zeros;
}

static int64_t count_rows(const NervModel *model)
{
    int64_t rows = 0;
    for (uint32_t i = 0; i < model->n_params; i++)
        rows += model->params[i].role == NERV_PARAM_BIAS ? 1 : model->params[i].shape.n;
    return rows;
}

/* The stream's other bytes, and the weights that are not zero at their fixed length; a map of the zeros if there are any. */
static int64_t fixed_bytes(const StageBench *b, const Stage *stage, int64_t zeros)
{
    const int64_t n = b->model->n_weights, bits = stage->coding == STAGE_FLOAT ? 32 : stage->bits;
    const int64_t side =
        (zeros ? n : 0) + (stage->coding == STAGE_FLOAT ? 0 : ROW_BITS * count_rows(b->model));
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_model_write(b->model, &w);
    GByteArray *rest = stream_of(b, &w);
    const int64_t bytes = rest->len + ((n - zeros) * bits + side + 7) / 8;
    g_byte_array_unref(rest);
    nerv_writer_clear(&w);
    return bytes;
}

static bool counted_bytes(const StageBench *b, const StageFit *fit, Stage *stage, int64_t zeros,
                          GError **error)
{
    uint64_t bits;
    if (stage->coding != STAGE_PUBLISHED) {
        stage->bytes = fixed_bytes(b, stage, zeros);
        return true;
    }
    const bool ok = nerv_minmax_published_bits(b->model, fit->weights, stage->bits, &bits, error);
    stage->bytes = ok ? (int64_t)((bits + 7) / 8) : 0;
    return ok;
}

/* Pictures of weights that no file holds, as nervdec would show them. */
static bool evaluate(const StageBench *b, const float *weights, Stage *stage, GError **error)
{
    const uint32_t n = b->clip->rgb.frames->len, width = (uint32_t)b->pixels.width * 3;
    NervParams *params = nerv_params_new(b->be, b->model, error);
    NervEvaluator *ev = params && nerv_params_upload(params, weights, error)
                            ? nerv_evaluator_new(b->be, params, NULL, &b->pixels, error)
                            : NULL;
    bool ok = ev != NULL;
    const size_t bytes = ok ? ev->frame_bytes + 4 : 1;
    g_autofree uint8_t *picture = g_malloc(bytes), *original = g_malloc(bytes);
    double mse = 0., psnr = 0.;
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = nerv_evaluator_start(ev, (int32_t)i, error) && nerv_evaluator_read(ev, picture, error) &&
             copy_picture(b->clip, i, original, error);
        const QualityPlane x = { picture, width, (uint32_t)b->pixels.height, width },
                           y = { original, width, (uint32_t)b->pixels.height, width };
        const double error_here = ok ? quality_mse(&x, &y) : 0.;
        mse += error_here / n;
        psnr += quality_psnr(error_here) / n;
    }
    stage->psnr_rgb = quality_psnr(mse);
    stage->psnr_rgb_frames = psnr;
    nerv_evaluator_free(ev);
    nerv_params_free(params);
    return ok;
}

bool stage_measure(const StageBench *b, const StageFit *fit, Stage *stage, GError **error)
{
    const int64_t zeros = count_zeros(b, fit);
    stage->is_file = stage->coding >= STAGE_HUFFMAN;
    stage->zeros = (double)zeros / (double)b->model->n_weights;
    if (stage->coding == STAGE_FLOAT)
        return counted_bytes(b, fit, stage, zeros, error) && evaluate(b, fit->weights, stage, error);
    NervBitWriter network;
    nerv_writer_init(&network);
    bool ok = write_network(b, fit, stage, &network, error);
    if (ok) {
        GByteArray *stream = stream_of(b, &network);
        stage->bytes = stream->len;
        ok = (stage->is_file || counted_bytes(b, fit, stage, zeros, error)) &&
             decode_file(b, stream, stage, error);
        g_byte_array_unref(stream);
    }
    nerv_writer_clear(&network);
    return ok;
}
