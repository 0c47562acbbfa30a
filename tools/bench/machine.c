/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Machine, versions, commit and memory, see machine.h. Linux's /proc where there is one.
 */
#include <string.h>
#include <sys/utsname.h>

#include "machine.h"

/* The text after "key" and a colon on its line, e.g. of /proc/cpuinfo. */
static char *proc_field(const char *path, const char *key)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *colon = strchr(*line, ':');
        if (colon && g_str_has_prefix(*line, key))
            return g_strstrip(g_strdup(colon + 1));
    }
    return NULL;
}

/* The first line of a command's output in `directory`, NULL if it failed. */
static char *command_output(const char *directory, char *const *argv)
{
    char *out = NULL;
    int status = 1;
    if (!g_spawn_sync(directory, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                      NULL, &out, NULL, &status, NULL) ||
        status != 0) {
        g_free(out);
        return NULL;
    }
    return g_strchomp(out);
}

static char *commit(const char *source_dir)
{
    char *const head[] = { "git", "rev-parse", "HEAD", NULL };
    char *const changes[] = { "git", "status", "--porcelain", "--untracked-files=no", NULL };
    g_autofree char *id = command_output(source_dir, head);
    g_autofree char *changed = id ? command_output(source_dir, changes) : NULL;
    return id ? g_strconcat(id, changed && *changed ? "-dirty" : "", NULL) : NULL;
}

void bench_describe_machine(Json *j, const char *source_dir, const char *version)
{
    struct utsname u = { 0 };
    g_autoptr(GDateTime) date = g_date_time_new_now_utc();
    g_autofree char *date_text = g_date_time_format_iso8601(date);
    g_autofree char *cpu = proc_field("/proc/cpuinfo", "model name");
    g_autofree char *memory = proc_field("/proc/meminfo", "MemTotal");
    g_autofree char *id = commit(source_dir);
    g_autofree char *glib =
        g_strdup_printf("%u.%u.%u", glib_major_version, glib_minor_version, glib_micro_version);
    uname(&u);
    const char *dash = strchr(u.release, '-'); /* the version without the builder's suffix */
    g_autofree char *system =
        g_strdup_printf("%s %.*s %s", u.sysname, dash ? (int)(dash - u.release) : -1, u.release, u.machine);

    json_string(j, "date", date_text);
    json_string(j, "commit", id);
    json_open(j, "machine", '{');
    json_string(j, "cpu", cpu);
    json_integer(j, "cores", g_get_num_processors());
    json_string(j, "memory", memory);
    json_string(j, "system", system);
    json_close(j, '}');
    json_open(j, "versions", '{');
    json_string(j, "nerv", version);
    json_string(j, "glib", glib);
    json_string(j, "compiler", __VERSION__);
    json_close(j, '}');
}

void bench_rss_reset(void)
{
    g_file_set_contents_full("/proc/self/clear_refs", "5", 1, G_FILE_SET_CONTENTS_NONE, 0644, NULL);
}

int64_t bench_rss_peak_bytes(void)
{
    g_autofree char *text = proc_field("/proc/self/status", "VmHWM");
    return text ? g_ascii_strtoll(text, NULL, 10) * 1024 : 0;
}
