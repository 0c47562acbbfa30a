/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-inpaint [OPTION...] CLIP...
 *
 * Hides parts of a clip's frames, fits networks to the rest by nervenc, and compares what they show there with what was hidden; beside them the nearest frame in which the
 * place is to be seen, and what is around it. Exit status: 0 measured, 1 not, 2 wrong arguments.
 */
#include <math.h>
#include <string.h>

#include "bench/clip_tool.h"
#include "bench/pictures.h"
#include "codec/holes.h"
#include "nerv.h"

/* Five boxes that stay where they are, as D-NeRV's paper has them, of this part of the width each; and one that crosses the frame once. */
#define BOX_PART    (1. / 16.)
#define MOVING_PART (1. / 6.)

typedef enum {
    MASK_BOXES,
    MASK_MOVING,
    MASK_N,
} MaskKind;

static const char *const mask_names[MASK_N] = { "boxes", "moving" };

/* Of what --keep leaves: errors times so much, samples of a column. */
#define ERROR_GAIN   2.
#define COLUMN_WIDTH 240

static char *opt_masks, *opt_keep;
static GPtrArray *opt_nerv; /* of char *: nervenc's properties */

static gboolean add_nerv(const char *option, const char *value, void *user, GError **error)
{
    clip_tool_collect(&opt_nerv, value);
    return TRUE;
}

static const GOptionEntry options[] = {
    { "nerv", 0, 0, G_OPTION_ARG_CALLBACK, add_nerv,
      "A network: nervenc's properties; may be repeated (default: model=nerv and model=dnerv)",
      "PROPERTIES" },
    { "masks", 0, 0, G_OPTION_ARG_STRING, &opt_masks,
      "Of boxes (five that stay), moving (one that crosses the frame) (default: both)", "LIST" },
    { "keep", 0, 0, G_OPTION_ARG_FILENAME, &opt_keep,
      "For each mask leave a picture there: the middle frame by each method, and what is wrong with it",
      "FOLDER" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

typedef struct {
    bool masks[MASK_N];
    ClipRun *clips;
    char *file; /* between two pipelines */
} Run;

typedef struct {
    Pictures clean;
    MaskKind mask;
    uint8_t *known;       /* a byte for each pixel of each frame: 255, or 0 where it is hidden */
    uint8_t *cut, *shown; /* pictures: black where it is hidden; of the method */
    PicturesSheet sheet;
} Trial;

static bool check_arguments(void *user, GError **error)
{
    Run *run = user;
    g_auto(GStrv) names = g_strsplit(opt_masks ? opt_masks : "boxes,moving", ",", -1);
    for (char **name = names; *name; name++) {
        int i = 0;
        while (i < MASK_N && !g_str_equal(*name, mask_names[i]))
            i++;
        if (i == MASK_N) {
            g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID,
                                "--masks is a list of boxes and moving");
            return false;
        }
        run->masks[i] = true;
    }
    return true;
}

/* --- what is hidden --- */

static void hide_box(const Trial *t, uint32_t frame, double x, double y, double side)
{
    const Pictures *p = &t->clean;
    const int32_t left = (int32_t)lrint(x - side / 2.), top = (int32_t)lrint(y - side / 2.),
                  n = (int32_t)lrint(side);
    for (int32_t j = MAX(top, 0); j < MIN(top + n, p->height); j++)
        for (int32_t i = MAX(left, 0); i < MIN(left + n, p->width); i++)
            t->known[((size_t)frame * p->height + j) * p->width + i] = 0;
}

static void hide(const Trial *t)
{
    static const double places[][2] = { { .5, .5 }, { .2, .25 }, { .8, .25 }, { .2, .75 }, { .8, .75 } };
    const Pictures *p = &t->clean;
    memset(t->known, 255, (size_t)p->width * p->height * p->n);
    for (uint32_t i = 0; i < p->n; i++) {
        const double at = p->n > 1 ? (double)i / (p->n - 1) : 0.;
        if (t->mask == MASK_MOVING)
            hide_box(t, i, (.15 + .7 * at) * p->width, (.35 + .3 * at) * p->height, MOVING_PART * p->width);
        for (size_t k = 0; t->mask == MASK_BOXES && k < G_N_ELEMENTS(places); k++)
            hide_box(t, i, places[k][0] * p->width, places[k][1] * p->height, BOX_PART * p->width);
    }
    for (size_t i = 0; i < (size_t)p->width * p->height * p->n; i++)
        for (int c = 0; c < 3; c++)
            t->cut[3 * i + c] = t->known[i] ? p->rgb[3 * i + c] : 0;
}

/* --- what is shown instead --- */

/* Each frame's holes from what is around them. */
static bool show_surroundings(const Trial *t, GError **error)
{
    const Pictures *p = &t->clean;
    const NervPixels pixels = {
        .format = NERV_PIXELS_RGB, .width = p->width, .height = p->height, .full_range = 1
    };
    memcpy(t->shown, t->cut, p->bytes * p->n);
    for (uint32_t i = 0; i < p->n; i++)
        if (!nerv_holes_fill(&pixels, t->known + i * p->bytes / 3, p->width, t->shown + i * p->bytes, error))
            return false;
    return true;
}

/* The nearest frame that shows the place; where there is none what is around it. */
static bool show_nearest(const Trial *t, GError **error)
{
    const Pictures *p = &t->clean;
    const size_t area = p->bytes / 3;
    if (!show_surroundings(t, error))
        return false;
    for (uint32_t i = 0; i < p->n; i++)
        for (size_t k = 0; k < area; k++)
            for (uint32_t d = 1; !t->known[i * area + k] && d < p->n; d++) {
                const bool before = i >= d && t->known[(i - d) * area + k];
                const bool behind = i + d < p->n && t->known[(i + d) * area + k];
                if (!before && !behind)
                    continue;
                memcpy(t->shown + i * p->bytes + 3 * k, t->cut + (before ? i - d : i + d) * p->bytes + 3 * k,
                       3);
                break;
            }
    return true;
}

/* Places in other frames whose surroundings are alike: what nervenc's networks begin with. */
static bool show_found(const Trial *t, GError **error)
{
    const Pictures *p = &t->clean;
    const NervPixels pixels = {
        .format = NERV_PIXELS_RGB, .width = p->width, .height = p->height, .full_range = 1
    };
    g_autofree uint8_t **frames = g_new(uint8_t *, p->n), **masks = g_new(uint8_t *, p->n);
    if (!show_surroundings(t, error))
        return false;
    for (uint32_t i = 0; i < p->n; i++) {
        frames[i] = t->shown + i * p->bytes;
        masks[i] = g_malloc(p->bytes);
        nerv_holes_mask(&pixels, t->known + i * p->bytes / 3, p->width, 0., 0, i, masks[i]);
    }
    nerv_holes_find(&pixels, frames, masks, p->n);
    for (uint32_t i = 0; i < p->n; i++)
        g_free(masks[i]);
    return true;
}

static bool show_network(const Run *run, const Trial *t, const char *properties, GError **error)
{
    g_autofree char *chain = g_strdup_printf(
        "nervenc segment-frames=0 device=%s threads=%d %s ! nervdec device=%s threads=%d", run->clips->device,
        run->clips->threads, properties, run->clips->device, run->clips->threads);
    return pictures_run(&t->clean, t->cut, t->known, chain, run->file, t->shown, error);
}

/* --- measuring --- */

/* dB of the samples that are hidden, or of the others. */
static double psnr_where(const Trial *t, bool hidden)
{
    const Pictures *p = &t->clean;
    double sum = 0., n = 0.;
    for (size_t i = 0; i < (size_t)p->width * p->height * p->n; i++)
        for (int c = 0; c < 3 && hidden == !t->known[i]; c++, n++)
            sum += pow(t->shown[3 * i + c] - p->rgb[3 * i + c], 2.);
    return n > 0. ? 10. * log10(255. * 255. / fmax(sum / n, 1e-9)) : INFINITY;
}

static void report(Run *run, Trial *t, const char *method, double seconds)
{
    Json *j = &run->clips->json;
    const double inside = psnr_where(t, true), outside = psnr_where(t, false);
    g_print("  %-48s %8.2f dB %8.2f dB %8.1f s\n", method, inside, outside, seconds);
    json_open(j, NULL, '{');
    json_string(j, "method", method);
    json_number(j, "psnr_hidden", inside);
    json_number(j, "psnr_known", outside);
    json_number(j, "seconds", seconds);
    json_close(j, '}');
    pictures_sheet_add(&t->sheet, t->shown);
}

/* How what is shown there is made, without a network. */
static const struct {
    const char *name;
    bool (*show)(const Trial *t, GError **error);
} plain_methods[] = {
    { "surroundings", show_surroundings },
    { "nearest frame", show_nearest },
    { "found elsewhere", show_found },
};

static bool measure_methods(Run *run, Trial *t, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(plain_methods); i++) {
        if (!plain_methods[i].show(t, error))
            return false;
        report(run, t, plain_methods[i].name, 0.);
    }
    for (guint i = 0; i < opt_nerv->len; i++) {
        const char *properties = g_ptr_array_index(opt_nerv, i);
        const gint64 start = g_get_monotonic_time();
        if (!show_network(run, t, properties, error))
            return false;
        report(run, t, properties, (double)(g_get_monotonic_time() - start) * 1e-6);
    }
    return true;
}

static bool measure_mask(Run *run, Trial *t, MaskKind mask, GError **error)
{
    Json *j = &run->clips->json;
    t->mask = mask;
    hide(t);
    g_print("%s\n  %-48s %11s %11s\n", mask_names[mask], "", "hidden", "known");
    json_open(j, NULL, '{');
    json_string(j, "mask", mask_names[mask]);
    json_open(j, "methods", '[');
    pictures_sheet_init(&t->sheet, &t->clean, t->clean.n / 2);
    pictures_sheet_add(&t->sheet, t->cut);
    const bool ok = measure_methods(run, t, error) &&
                    (!opt_keep || pictures_sheet_write(&t->sheet, opt_keep, mask_names[mask], ERROR_GAIN,
                                                       COLUMN_WIDTH, error));
    pictures_sheet_clear(&t->sheet);
    json_close(j, ']');
    json_close(j, '}');
    return ok;
}

static bool measure_clip(void *user, ClipRun *clips, const RdClip *clip, GError **error)
{
    Run *run = user;
    Json *j = &clips->json;
    Trial t = { 0 };
    const Pictures *p = &t.clean;
    bool ok = pictures_init(&t.clean, clip, error);
    t.known = g_malloc((size_t)p->width * p->height * p->n);
    t.cut = pictures_room(p);
    t.shown = pictures_room(p);
    pictures_describe(p, j);
    json_open(j, "masks", '[');
    for (int i = 0; ok && i < MASK_N; i++)
        ok = !run->masks[i] || measure_mask(run, &t, i, error);
    json_close(j, ']');
    json_close(j, '}');
    pictures_clear(&t.clean);
    g_free(t.known);
    g_free(t.cut);
    g_free(t.shown);
    return ok;
}

static bool begin(void *user, ClipRun *clips, GError **error)
{
    Run *run = user;
    run->clips = clips;
    run->file = g_build_filename(clips->directory, "shown.rgb", NULL);
    if (!opt_nerv) {
        clip_tool_collect(&opt_nerv, "model=nerv");
        clip_tool_collect(&opt_nerv, "model=dnerv");
    }
    return true;
}

int main(int argc, char **argv)
{
    const ClipTool tool = { .name = "nerv-inpaint",
                            .purpose = "what is hidden in video",
                            .options = options,
                            .frames_help = "The first N of each clip, 2 to 100000 (default 32)",
                            .least_frames = 2,
                            .frames = 32,
                            .check = check_arguments,
                            .begin = begin,
                            .measure = measure_clip };
    Run run = { .file = NULL };
    const int status = clip_tool_main(&tool, &run, argc, argv);
    g_free(run.file);
    g_clear_pointer(&opt_nerv, g_ptr_array_unref);
    return status;
}
