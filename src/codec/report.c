/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Warnings, see report.h.
 */
#include "codec/report.h"

#include <math.h>

#define TIME_TOLERANCE 0.05
#define FEW_STEPS      50
#define SIZE_TOLERANCE 0.03
#define KEYS_MOST      0.7 /* of the bytes asked for: more than they are given, however coarse they are */

static const char *psnr_advice(const NervReport *r)
{
    if (r->result->score.psnr_frames >= r->target_psnr)
        return "no coarser weights came nearer; a network that small jumps. Another seed or preset may do";
    return r->max_seconds > 0. ? "more seconds may reach it" : "more epochs or a slower preset may reach it";
}

static const char *size_advice(const NervReport *r)
{
    if (r->bytes > r->target_bytes)
        return r->max_seconds > 0.
                   ? "the network needs more steps than there was time for, or cannot be that small"
                   : "the network cannot be that small, or needs more epochs to become so; longer "
                     "segments cost less each second";
    return "the network has no use for more; so many bytes are more than these frames and the model can take";
}

static bool keys_are_too_many(const NervReport *r)
{
    return r->target_bytes > 0. && r->keys && (double)r->keys->bytes > KEYS_MOST * r->target_bytes;
}

/* A fit knows no more than its own part of the bytes. */
static bool is_missed(const NervReport *r)
{
    return r->result->missed ||
           (r->target_bytes > 0. && fabs(r->bytes - r->target_bytes) > SIZE_TOLERANCE * r->target_bytes);
}

char *nerv_report_warning(const NervReport *r)
{
    GString *s = g_string_new(NULL);
    const bool missed = is_missed(r);
    if (r->max_seconds > 0. && r->seconds > r->max_seconds * (1. + TIME_TOLERANCE))
        g_string_append_printf(
            s,
            "segment %u was ready %.2f s after the first frame, not within the %.2f s asked for: "
            "few steps, the coding and the last look at the pictures take that long",
            r->segment_id, r->seconds, r->max_seconds);
    if (r->max_seconds > 0. && r->result->n_steps < FEW_STEPS)
        g_string_append_printf(
            s,
            "%sthere was time for %u step%s only, with which no network shows much: this one "
            "needs more seconds, smaller frames, or another model in its place",
            s->len ? ". " : "", r->result->n_steps, r->result->n_steps == 1 ? "" : "s");
    if (missed)
        g_string_append(s, s->len ? ". " : "");
    if (missed && r->target_psnr > 0.)
        g_string_append_printf(s, "segment %u has %.2f dB, not the %.2f dB asked for: %s", r->segment_id,
                               r->result->score.psnr_frames, r->target_psnr, psnr_advice(r));
    else if (missed)
        g_string_append_printf(s, "segment %u takes %.0f bytes, not the %.0f asked for: %s", r->segment_id,
                               r->bytes, r->target_bytes, size_advice(r));
    if (missed && keys_are_too_many(r))
        g_string_append_printf(s,
                               "; %d keyframes, one or two for each scene, take %.0f bytes as coarse as they "
                               "can be: fewer scenes in a "
                               "segment or model=nerv take less",
                               r->keys->n, (double)r->keys->bytes);
    if (r->excess_macs > 0.)
        g_string_append_printf(
            s,
            "%sdecoding takes %.0f multiplications a pixel, more than the preset allows for this "
            "frame size, and no network of the model takes fewer: smaller frames or another model "
            "decode faster",
            s->len ? ". " : "", r->excess_macs);
    return g_string_free(s, s->len == 0);
}
