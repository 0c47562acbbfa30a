/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pipelines with a clock on them, see play.h. Times are taken in a probe at the sink's pad, on the streaming thread. Seeks
 * are made in PAUSED, where the sink holds the picture that it got: the next one is the seek's.
 */

#include "play.h"

#define TIMEOUT (600 * GST_SECOND)

typedef struct {
    GstElement *pipeline;
    GMutex lock; /* of what follows, which the probe writes */
    uint32_t n_frames;
    gint64 first_us, last_us;
    GstClockTime pts, duration; /* of the first picture since then */
} Player;

static GstPadProbeReturn at_sink(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    Player *p = user;
    const gint64 now = g_get_monotonic_time();
    g_mutex_lock(&p->lock);
    if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_BUFFER) {
        const GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
        if (p->n_frames++ == 0) {
            p->first_us = now;
            p->pts = GST_BUFFER_PTS(buffer);
            p->duration = GST_BUFFER_DURATION(buffer);
        }
        p->last_us = now;
    } else if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_FLUSH_STOP) {
        p->n_frames = 0;
    }
    g_mutex_unlock(&p->lock);
    return GST_PAD_PROBE_OK;
}

static bool player_init(Player *p, const char *file, const char *chain, GError **error)
{
    g_autofree char *description =
        g_strdup_printf("filesrc name=src ! %s ! fakesink name=sink sync=false", chain);
    *p = (Player){ .pipeline = gst_parse_launch_full(description, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error) };
    g_mutex_init(&p->lock);
    if (!p->pipeline)
        return false;
    g_autoptr(GstElement) src = gst_bin_get_by_name(GST_BIN(p->pipeline), "src");
    g_autoptr(GstElement) sink = gst_bin_get_by_name(GST_BIN(p->pipeline), "sink");
    g_object_set(src, "location", file, NULL);
    g_autoptr(GstPad) pad = gst_element_get_static_pad(sink, "sink");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_FLUSH, at_sink, p, NULL);
    return true;
}

static void player_clear(Player *p)
{
    if (p->pipeline) {
        gst_element_set_state(p->pipeline, GST_STATE_NULL);
        gst_object_unref(p->pipeline);
    }
    g_mutex_clear(&p->lock);
}

/* Until a message of the type, or an error. */
static bool wait_for(GstElement *pipeline, GstMessageType type, GError **error)
{
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    g_autoptr(GstMessage) message = gst_bus_timed_pop_filtered(bus, TIMEOUT, type | GST_MESSAGE_ERROR);
    if (message && GST_MESSAGE_TYPE(message) != GST_MESSAGE_ERROR)
        return true;
    if (message)
        gst_message_parse_error(message, error, NULL);
    else
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "nothing happens in the pipeline");
    return false;
}

bool bench_play(const char *file, const char *chain, BenchPlay *out, GError **error)
{
    Player p;
    const gint64 start = g_get_monotonic_time();
    bool ok = player_init(&p, file, chain, error);
    if (ok) {
        gst_element_set_state(p.pipeline, GST_STATE_PLAYING);
        ok = wait_for(p.pipeline, GST_MESSAGE_EOS, error);
    }
    const gint64 end = g_get_monotonic_time();
    if (ok && p.n_frames < 2) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE, "%s has %u pictures", file, p.n_frames);
        ok = false;
    }
    if (ok)
        *out = (BenchPlay){ .startup_seconds = (double)(p.first_us - start) * 1e-6,
                            .frame_seconds = (double)(p.last_us - p.first_us) * 1e-6 / (p.n_frames - 1),
                            .total_seconds = (double)(end - start) * 1e-6,
                            .n_frames = p.n_frames };
    player_clear(&p);
    return ok;
}

static bool seek_once(Player *p, GstClockTime to, BenchSeeks *out, GError **error)
{
    const gint64 start = g_get_monotonic_time();
    if (!gst_element_seek_simple(p->pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE,
                                 (gint64)to)) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "the pipeline refuses to seek");
        return false;
    }
    if (!wait_for(p->pipeline, GST_MESSAGE_ASYNC_DONE, error))
        return false;
    g_mutex_lock(&p->lock);
    out->seconds[out->n] = (double)(p->first_us - start) * 1e-6;
    /* Containers round times to a millisecond, and what is cut off before `to` begins there. */
    out->n_wrong += p->n_frames == 0 || p->pts > to + GST_MSECOND ||
                    (GST_CLOCK_TIME_IS_VALID(p->duration) && p->pts + p->duration + GST_MSECOND < to);
    g_mutex_unlock(&p->lock);
    return true;
}

bool bench_seeks(const char *file, const char *chain, uint32_t n, BenchBeside beside, void *user,
                 BenchSeeks *out, GError **error)
{
    Player p;
    gint64 duration = 0;
    *out = (BenchSeeks){ .n = 0 };
    bool ok = player_init(&p, file, chain, error);
    if (ok) {
        gst_element_set_state(p.pipeline, GST_STATE_PAUSED);
        ok = wait_for(p.pipeline, GST_MESSAGE_ASYNC_DONE, error);
    }
    if (ok && !gst_element_query_duration(p.pipeline, GST_FORMAT_TIME, &duration)) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "the duration of %s is not known",
                    file);
        ok = false;
    }
    /* Multiples of the golden section: no two neighbours in time follow each other. */
    double at = 0;
    for (uint32_t i = 0; ok && i < MIN(n, BENCH_MAX_SEEKS); i++) {
        at += 0.6180339887498949;
        at -= (int)at;
        ok = seek_once(&p, (GstClockTime)((double)duration * at * 0.98), out, error) &&
             (!beside || (out->beside[i] = beside(user, error)) >= 0);
        out->n += ok;
    }
    player_clear(&p);
    return ok;
}

bool bench_run_to_end(const char *description, GError **error)
{
    GstElement *pipeline = gst_parse_launch_full(description, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
    if (!pipeline)
        return false;
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    const bool ok = wait_for(pipeline, GST_MESSAGE_EOS, error);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    return ok;
}
