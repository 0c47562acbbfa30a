/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reports of rate-distortion points, see rd_report.h.
 */
#include <math.h>

#include "bd.h"
#include "plot.h"
#include "quality.h"
#include "rd_report.h"

#define MAX_TITLE 32 /* bytes of a clip's name above its plot */

/* The qualities that BD-rates are given for. */
static const struct {
    const char *name;
    size_t offset;
} measures[] = { { "psnr_rgb", G_STRUCT_OFFSET(RdPoint, quality.psnr_rgb) },
                 { "psnr_yuv611", G_STRUCT_OFFSET(RdPoint, quality.psnr_yuv) },
                 { "psnr_mean", G_STRUCT_OFFSET(RdPoint, quality.psnr_mean) } };

/* Of one clip the mean over clips is what its PSNR is. */
static size_t count_measures(const RdResult *r)
{
    return G_N_ELEMENTS(measures) - !r->parts;
}

static void curve_clear(RdCurve *curve)
{
    for (guint i = 0; i < curve->points->len; i++)
        g_free(g_array_index(curve->points, RdPoint, i).encoder);
    g_array_unref(curve->points);
    g_free(curve->name);
}

RdResult *rd_result_new(const RdClip *clip)
{
    RdResult *r = g_new0(RdResult, 1);
    r->name = g_strdup(clip->name);
    r->width = GST_VIDEO_INFO_WIDTH(&clip->rgb.info);
    r->height = GST_VIDEO_INFO_HEIGHT(&clip->rgb.info);
    r->fps_n = GST_VIDEO_INFO_FPS_N(&clip->rgb.info);
    r->fps_d = GST_VIDEO_INFO_FPS_D(&clip->rgb.info);
    r->n_frames = clip->rgb.frames->len;
    for (guint i = 0; clip->parts && i < clip->parts->len; i++) {
        RdPart part = g_array_index(clip->parts, RdPart, i);
        part.name = g_strdup(part.name);
        if (!r->parts)
            r->parts = g_array_new(FALSE, FALSE, sizeof(RdPart));
        g_array_append_val(r->parts, part);
    }
    r->curves = g_array_new(FALSE, TRUE, sizeof(RdCurve));
    g_array_set_clear_func(r->curves, (GDestroyNotify)curve_clear);
    return r;
}

void rd_result_free(RdResult *result)
{
    for (guint i = 0; result->parts && i < result->parts->len; i++)
        g_free(g_array_index(result->parts, RdPart, i).name);
    g_clear_pointer(&result->parts, g_array_unref);
    g_array_unref(result->curves);
    g_free(result->name);
    g_free(result);
}

RdCurve *rd_result_add_curve(RdResult *result, const char *name, bool is_nerv)
{
    const RdCurve curve = { .name = g_strdup(name),
                            .is_nerv = is_nerv,
                            .points = g_array_new(FALSE, TRUE, sizeof(RdPoint)) };
    g_array_append_val(result->curves, curve);
    return &g_array_index(result->curves, RdCurve, result->curves->len - 1);
}

void rd_print_head(const RdResult *r)
{
    g_print("%s, %dx%d, %u frames\n", r->name, r->width, r->height, r->n_frames);
    for (guint i = 0; r->parts && i < r->parts->len; i++) {
        const RdPart *part = &g_array_index(r->parts, RdPart, i);
        g_print("  %u: %s, %u frames\n", i + 1, part->name, part->n);
    }
    g_print("%-12s %10s %8s %8s %8s %8s %8s %9s %9s\n", "", "bytes", "bpp", "RGB dB", "of frames", "YUV dB",
            "MS-SSIM", "encode s", "decode/s");
}

/* Each clip's, of joined ones. */
static void print_parts(const RdResult *r, const RdPoint *p)
{
    g_print("%-12s mean %.2f dB of", "", p->quality.psnr_mean);
    for (guint i = 0; i < r->parts->len; i++)
        g_print(" %.2f", p->quality.psnr_parts[i]);
    g_print("\n");
}

void rd_print_point(const RdResult *r, const RdCurve *c, const RdPoint *p)
{
    g_print("%-12s %10" G_GINT64_FORMAT " %8.4f %8.2f %8.2f %8.2f %8.5f %9.2f %9.1f  %s\n", c->name, p->bytes,
            p->bpp, p->quality.psnr_rgb, p->quality.psnr_rgb_frames, p->quality.psnr_yuv, p->quality.ms_ssim,
            p->encode_seconds, p->decode_fps, p->encoder);
    if (r->parts)
        print_parts(r, p);
}

/* --- BD-rates --- */

/* NULL, or why there is none. */
static const char *bd_of(const RdCurve *anchor, const RdCurve *test, size_t offset, BdRate *out)
{
    const RdCurve *curve[2] = { anchor, test };
    double *rate[2], *quality[2];
    for (int k = 0; k < 2; k++) {
        rate[k] = g_new(double, curve[k]->points->len);
        quality[k] = g_new(double, curve[k]->points->len);
        for (guint i = 0; i < curve[k]->points->len; i++) {
            const RdPoint *p = &g_array_index(curve[k]->points, RdPoint, i);
            rate[k][i] = p->bpp;
            quality[k][i] = G_STRUCT_MEMBER(double, p, offset);
        }
    }
    const BdCurve a = { rate[0], quality[0], anchor->points->len },
                  t = { rate[1], quality[1], test->points->len };
    const char *why = bd_rate(&a, &t, out);
    for (int k = 0; k < 2; k++) {
        g_free(rate[k]);
        g_free(quality[k]);
    }
    return why;
}

typedef void (*BdReport)(void *user, const RdCurve *test, const RdCurve *anchor, const char *measure,
                         const char *why, const BdRate *bd);

/* Each nerv curve against each peer. */
static void each_bd_rate(const RdResult *r, BdReport report, void *user)
{
    for (guint i = 0; i < r->curves->len; i++)
        for (guint k = 0; k < r->curves->len; k++) {
            const RdCurve *test = &g_array_index(r->curves, RdCurve, i),
                          *anchor = &g_array_index(r->curves, RdCurve, k);
            for (size_t m = 0; test->is_nerv && !anchor->is_nerv && m < count_measures(r); m++) {
                BdRate bd = { 0 };
                const char *why = bd_of(anchor, test, measures[m].offset, &bd);
                report(user, test, anchor, measures[m].name, why, &bd);
            }
        }
}

static void print_bd(void *user, const RdCurve *test, const RdCurve *anchor, const char *measure,
                     const char *why, const BdRate *bd)
{
    if (why)
        g_print("BD-rate of %s against %s, %s: none, %s\n", test->name, anchor->name, measure, why);
    else
        g_print("BD-rate of %s against %s, %s: %+.1f %% from %.2f to %.2f dB\n", test->name, anchor->name,
                measure, bd->percent, bd->low, bd->high);
}

void rd_print_bd_rates(const GPtrArray *results)
{
    for (guint i = 0; i < results->len; i++) {
        const RdResult *r = g_ptr_array_index(results, i);
        g_print("%s:\n", r->name);
        each_bd_rate(r, print_bd, NULL);
    }
}

/* --- losses --- */

typedef void (*LossReport)(void *user, const RdCurve *curve, const RdPoint *point, const RdPoint *base);

static void each_loss(const RdResult *r, const char *base, LossReport report, void *user)
{
    const RdCurve *b = NULL;
    for (guint i = 0; i < r->curves->len; i++)
        if (g_str_equal(g_array_index(r->curves, RdCurve, i).name, base))
            b = &g_array_index(r->curves, RdCurve, i);
    for (guint i = 0; b && i < r->curves->len; i++) {
        const RdCurve *c = &g_array_index(r->curves, RdCurve, i);
        for (guint k = 0; c != b && c->is_nerv && k < MIN(c->points->len, b->points->len); k++)
            report(user, c, &g_array_index(c->points, RdPoint, k), &g_array_index(b->points, RdPoint, k));
    }
}

static double more_bytes(const RdPoint *p, const RdPoint *base)
{
    return 100. * ((double)p->bytes / (double)base->bytes - 1.);
}

static void print_loss(void *user, const RdCurve *c, const RdPoint *p, const RdPoint *base)
{
    g_print("%-16s %10" G_GINT64_FORMAT " %+7.1f%% %9.1f %8.2f %8.2f\n", c->name, p->bytes,
            more_bytes(p, base), p->encode_seconds, p->quality.psnr_mean,
            base->quality.psnr_mean - p->quality.psnr_mean);
}

void rd_print_losses(const GPtrArray *results, const char *base)
{
    for (guint i = 0; i < results->len; i++) {
        const RdResult *r = g_ptr_array_index(results, i);
        g_print("%s, against %s:\n%-16s %10s %8s %9s %8s %8s\n", r->name, base, "", "bytes", "more",
                "encode s", "dB", "dB lost");
        each_loss(r, base, print_loss, NULL);
    }
}

static void json_loss(void *user, const RdCurve *c, const RdPoint *p, const RdPoint *base)
{
    Json *j = user;
    json_open(j, NULL, '{');
    json_string(j, "codec", c->name);
    json_integer(j, "bytes", p->bytes);
    json_integer(j, "base_bytes", base->bytes);
    json_number(j, "db_lost", base->quality.psnr_mean - p->quality.psnr_mean);
    json_close(j, '}');
}

/* --- CSV --- */

static void csv_text(GString *s, const char *text)
{
    g_string_append_c(s, '"');
    for (; *text; text++)
        g_string_append(s, *text == '"' ? "\"\"" : (char[]){ *text, 0 });
    g_string_append_c(s, '"');
}

/* Whatever the locale; "inf" and "nan" as they are. */
static void csv_number(GString *s, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append_c(s, ',');
    g_string_append(s, g_ascii_formatd(text, sizeof text, "%.7g", value));
}

static void csv_point(GString *s, const RdResult *r, const RdCurve *c, const RdPoint *p)
{
    const double numbers[] = { p->bpp,
                               r->fps_n > 0 && r->fps_d > 0
                                   ? p->bpp * r->width * r->height * r->fps_n / r->fps_d * 1e-3
                                   : NAN,
                               p->quality.psnr_rgb,
                               p->quality.psnr_rgb_frames,
                               p->quality.psnr_yuv,
                               p->quality.ms_ssim,
                               p->encode_seconds,
                               p->decode_fps,
                               p->quality.psnr_mean };
    csv_text(s, r->name);
    g_string_append_c(s, ',');
    csv_text(s, c->name);
    g_string_append_c(s, ',');
    csv_text(s, p->encoder);
    g_string_append_printf(s, ",%d,%d,%u,%" G_GINT64_FORMAT, r->width, r->height, r->n_frames, p->bytes);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        csv_number(s, numbers[i]);
    g_string_append(s, ",\"");
    for (guint i = 0; r->parts && i < r->parts->len; i++) {
        char text[G_ASCII_DTOSTR_BUF_SIZE];
        g_string_append_printf(s, "%s%s", i ? " " : "",
                               g_ascii_formatd(text, sizeof text, "%.7g", p->quality.psnr_parts[i]));
    }
    g_string_append(s, "\"\n");
}

char *rd_csv(const GPtrArray *results)
{
    GString *s = g_string_new(
        "clip,codec,encoder,width,height,frames,bytes,bpp,kbps,psnr_rgb,psnr_rgb_frames,psnr_yuv611,"
        "ms_ssim,encode_seconds,decode_fps,psnr_mean,psnr_parts\n");
    for (guint i = 0; i < results->len; i++) {
        const RdResult *r = g_ptr_array_index(results, i);
        for (guint k = 0; k < r->curves->len; k++) {
            const RdCurve *c = &g_array_index(r->curves, RdCurve, k);
            for (guint n = 0; n < c->points->len; n++)
                csv_point(s, r, c, &g_array_index(c->points, RdPoint, n));
        }
    }
    return g_string_free(s, FALSE);
}

/* --- JSON --- */

static void json_quality(Json *j, const RdResult *r, const RdQuality *q)
{
    json_boolean(j, "lossless", isinf(q->psnr_rgb)); /* then PSNR is null, as JSON has no infinity */
    json_number(j, "psnr_rgb", q->psnr_rgb);
    json_number(j, "psnr_rgb_frames", q->psnr_rgb_frames);
    json_number(j, "psnr_yuv611", q->psnr_yuv);
    json_number(j, "ms_ssim", q->ms_ssim);
    if (!r->parts)
        return;
    json_number(j, "psnr_mean", q->psnr_mean);
    json_open(j, "psnr_parts", '[');
    for (guint i = 0; i < r->parts->len; i++)
        json_number(j, NULL, q->psnr_parts[i]);
    json_close(j, ']');
}

static void json_parts(Json *j, const RdResult *r)
{
    if (!r->parts)
        return;
    json_open(j, "parts", '[');
    for (guint i = 0; i < r->parts->len; i++) {
        json_open(j, NULL, '{');
        json_string(j, "clip", g_array_index(r->parts, RdPart, i).name);
        json_integer(j, "frames", g_array_index(r->parts, RdPart, i).n);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void json_curve(Json *j, const RdResult *r, const RdCurve *c)
{
    json_open(j, NULL, '{');
    json_string(j, "codec", c->name);
    json_string(j, "file", c->file_kind);
    json_open(j, "points", '[');
    for (guint i = 0; i < c->points->len; i++) {
        const RdPoint *p = &g_array_index(c->points, RdPoint, i);
        json_open(j, NULL, '{');
        json_string(j, "encoder", p->encoder);
        json_integer(j, "bytes", p->bytes);
        json_number(j, "bpp", p->bpp);
        json_quality(j, r, &p->quality);
        json_number(j, "encode_seconds", p->encode_seconds);
        json_number(j, "decode_fps", p->decode_fps);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
}

static void json_bd(void *user, const RdCurve *test, const RdCurve *anchor, const char *measure,
                    const char *why, const BdRate *bd)
{
    Json *j = user;
    json_open(j, NULL, '{');
    json_string(j, "codec", test->name);
    json_string(j, "against", anchor->name);
    json_string(j, "quality", measure);
    json_number(j, "percent", why ? NAN : bd->percent);
    json_number(j, "from_db", why ? NAN : bd->low);
    json_number(j, "to_db", why ? NAN : bd->high);
    json_string(j, "why_none", why);
    json_close(j, '}');
}

void rd_json(Json *j, const GPtrArray *results, const char *base)
{
    json_open(j, "clips", '[');
    for (guint i = 0; i < results->len; i++) {
        const RdResult *r = g_ptr_array_index(results, i);
        json_open(j, NULL, '{');
        json_string(j, "clip", r->name);
        json_integer(j, "width", r->width);
        json_integer(j, "height", r->height);
        json_integer(j, "frames", r->n_frames);
        json_parts(j, r);
        json_integer(j, "ms_ssim_scales", quality_ms_ssim_scales((uint32_t)r->width, (uint32_t)r->height));
        json_open(j, "curves", '[');
        for (guint k = 0; k < r->curves->len; k++)
            json_curve(j, r, &g_array_index(r->curves, RdCurve, k));
        json_close(j, ']');
        json_open(j, "bd_rates", '[');
        each_bd_rate(r, json_bd, j);
        json_close(j, ']');
        if (base) {
            json_string(j, "base", base);
            json_open(j, "losses", '[');
            each_loss(r, base, json_loss, j);
            json_close(j, ']');
        }
        json_close(j, '}');
    }
    json_close(j, ']');
}

/* --- the plot --- */

static int by_bpp(const void *a, const void *b)
{
    const double x = ((const RdPoint *)a)->bpp, y = ((const RdPoint *)b)->bpp;
    return (x > y) - (x < y);
}

/* MS-SSIM is plotted in decibels, -10 log10(1 - MS-SSIM): near 1, where good codecs are, its own axis has no room. */
typedef enum { PLOT_PSNR, PLOT_MS_SSIM, N_PLOTS } PlotWhat;

static double plotted(const RdPoint *p, PlotWhat what)
{
    return what == PLOT_PSNR ? p->quality.psnr_mean : -10 * log10(1 - p->quality.ms_ssim);
}

static void plot_curve(PlotCurve *out, const RdCurve *c, PlotWhat what)
{
    const guint n = c->points->len;
    g_autofree RdPoint *sorted = g_memdup2(c->points->data, n * sizeof(RdPoint));
    double *x = g_new(double, n), *y = g_new(double, n);
    if (sorted)
        qsort(sorted, n, sizeof *sorted, by_bpp);
    for (guint i = 0; i < n; i++) {
        x[i] = sorted[i].bpp;
        y[i] = plotted(&sorted[i], what);
    }
    *out = (PlotCurve){ .name = c->name, .x = x, .y = y, .n = n };
}

bool rd_plot(const char *path, const GPtrArray *results, GError **error)
{
    const guint n = results->len * N_PLOTS;
    g_autofree PlotPanel *panels = g_new0(PlotPanel, n);
    for (guint i = 0; i < n; i++) {
        const RdResult *r = g_ptr_array_index(results, i / N_PLOTS);
        const PlotWhat what = (PlotWhat)(i % N_PLOTS);
        PlotCurve *curves = g_new0(PlotCurve, r->curves->len);
        for (guint k = 0; k < r->curves->len; k++)
            plot_curve(&curves[k], &g_array_index(r->curves, RdCurve, k), what);
        panels[i] = (PlotPanel){ .title = g_strdup_printf("%.*s, %dx%d, %u frames", MAX_TITLE, r->name,
                                                          r->width, r->height, r->n_frames),
                                 .y_title = what == PLOT_MS_SSIM ? "MS-SSIM of luma, dB" : NULL,
                                 .curves = curves,
                                 .n_curves = r->curves->len };
    }
    const bool ok = plot_write(path, panels, n, error);
    for (guint i = 0; i < n; i++) {
        for (uint32_t k = 0; k < panels[i].n_curves; k++) {
            g_free((double *)panels[i].curves[k].x);
            g_free((double *)panels[i].curves[k].y);
        }
        g_free((PlotCurve *)panels[i].curves);
        g_free((char *)panels[i].title);
    }
    return ok;
}
