/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Programs that measure something on each of a few clips: see clip_tool.h.
 */
#include "clip_tool.h"

#include <glib/gstdio.h>
#include <gst/gst.h>
#include <locale.h>

#include "arguments.h"
#include "base/error.h"
#include "machine.h"

#define MOST_FRAMES 100000

enum { DONE, FAILED, WRONG_ARGUMENTS };

typedef struct {
    const ClipTool *tool;
    void *user;
    char *size, *json, **clips;
    int frames;
    int32_t width, height; /* 0: the clip's */
    ClipRun run;
} Program;

static bool check_arguments(Program *p, GError **error)
{
    const ClipTool *t = p->tool;
    const char *why = !p->clips || !p->clips[0] ? "there is no clip"
                      : !*p->run.device         ? "--device has an empty name"
                                                : NULL;
    if (why) {
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, why);
        return false;
    }
    return ((p->frames == 0 && t->frames == 0) ||
            bench_check_int("frames", p->frames, t->least_frames, MOST_FRAMES, error)) &&
           bench_check_int("threads", p->run.threads, 0, BENCH_MAX_THREADS, error) &&
           (!p->size || bench_parse_size(p->size, &p->width, &p->height, error)) &&
           (!p->json || bench_check_output("json", p->json, error)) &&
           (!t->check || t->check(p->user, error));
}

static bool measure_clips(Program *p, GError **error)
{
    for (char **what = p->clips; *what; what++) {
        RdClip clip;
        if (!rd_clip_load(&clip, *what, (uint32_t)p->frames, p->width, p->height, error))
            return false;
        const bool ok = p->tool->measure(p->user, &p->run, &clip, error);
        rd_clip_clear(&clip);
        if (!ok)
            return false;
    }
    return true;
}

static bool measure_all(Program *p, GError **error)
{
    g_autofree char *gstreamer = gst_version_string();
    Json *j = &p->run.json;
    json_init(j);
    json_open(j, NULL, '{');
    bench_describe_machine(j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(j, "gstreamer", gstreamer);
    json_string(j, "device", p->run.device);
    json_integer(j, "threads", p->run.threads);
    bool ok = !p->tool->begin || p->tool->begin(p->user, &p->run, error);
    json_open(j, "clips", '[');
    ok = ok && measure_clips(p, error);
    json_close(j, ']');
    json_boolean(j, "complete", ok);
    json_close(j, '}');
    g_autofree char *text = json_finish(j);
    /* Fits take long: what was measured before a failure is written too. */
    return (!p->json || g_file_set_contents(p->json, text, -1, ok ? error : NULL)) && ok;
}

static void remove_folder(const char *directory)
{
    GDir *dir = g_dir_open(directory, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *file = g_build_filename(directory, name, NULL);
        g_unlink(file);
    }
    if (dir)
        g_dir_close(dir);
    g_rmdir(directory);
}

static bool run_all(Program *p, GError **error)
{
    g_autofree char *pattern = g_strdup_printf("%s-XXXXXX", p->tool->name);
    p->run.directory = g_dir_make_tmp(pattern, error);
    if (!p->run.directory)
        return false;
    const bool ok = measure_all(p, error);
    remove_folder(p->run.directory);
    g_free(p->run.directory);
    return ok;
}

/* Names of files are printed as they are; numbers as in C. */
static bool parse(Program *p, int argc, char **argv, GError **error)
{
    const GOptionEntry common[] = {
        { "frames", 'n', 0, G_OPTION_ARG_INT, &p->frames, p->tool->frames_help, "N" },
        { "size", 0, 0, G_OPTION_ARG_STRING, &p->size, "Scale clips to it (default: as they are)", "WxH" },
        { "device", 'd', 0, G_OPTION_ARG_STRING, &p->run.device, "Of fits and evaluation (default cpu)",
          "D" },
        { "threads", 't', 0, G_OPTION_ARG_INT, &p->run.threads, "0 (default): one per core", "N" },
        { "json", 0, 0, G_OPTION_ARG_FILENAME, &p->json, "Write the results and the machine there", "FILE" },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &p->clips, NULL, NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autofree char *title = g_strdup_printf("CLIP... - %s", p->tool->purpose);
    g_autoptr(GOptionContext) context = g_option_context_new(title);
    g_option_context_set_summary(context,
                                 "A clip is a file, or the beginning of a pipeline that ends in raw video.");
    g_option_context_add_main_entries(context, p->tool->options, NULL);
    g_option_context_add_main_entries(context, common, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    if (!g_option_context_parse(context, &argc, &argv, error))
        return false;
    if (!p->run.device)
        p->run.device = g_strdup("cpu");
    return check_arguments(p, error);
}

int clip_tool_main(const ClipTool *tool, void *user, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Program p = { .tool = tool, .user = user, .frames = tool->frames };
    setlocale(LC_CTYPE, "");
    const int status = !parse(&p, argc, argv, &error) ? WRONG_ARGUMENTS : run_all(&p, &error) ? DONE : FAILED;
    if (status != DONE)
        g_printerr("%s: %s\n", tool->name, error ? error->message : "failed");
    g_free(p.run.device);
    g_free(p.size);
    g_free(p.json);
    g_strfreev(p.clips);
    return status;
}

void clip_tool_collect(GPtrArray **list, const char *value)
{
    if (!*list)
        *list = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(*list, g_strdup(value));
}
