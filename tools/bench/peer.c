/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The peer process, see peer.h.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "models/dnerv.h"
#include "models/nerv.h"
#include "peer.h"

struct BenchPeer {
    GPid pid;
    FILE *to, *from;
    char *about;
};

static char *join(const int32_t *v, int32_t n)
{
    GString *s = g_string_new(NULL);
    for (int32_t i = 0; i < n; i++)
        g_string_append_printf(s, "%s%d", i ? "," : "", v[i]);
    return g_string_free(s, FALSE);
}

static void add_option(GPtrArray *argv, const char *name, char *value)
{
    g_ptr_array_add(argv, g_strdup(name));
    g_ptr_array_add(argv, value);
}

static void add_nerv(GPtrArray *argv, const NervNervConfig *c)
{
    add_option(argv, "--stem", g_strdup_printf("%d", c->stem));
    add_option(argv, "--base-channels", g_strdup_printf("%d", c->base_channels));
    add_option(argv, "--widths", join(c->width, c->n_blocks));
    add_option(argv, "--strides", join(c->stride, c->n_blocks));
    add_option(argv, "--kernels", join(c->kernel, c->n_blocks));
    add_option(argv, "--activation", g_strdup(nerv_act_name(c->act)));
    add_option(argv, "--out-activation", g_strdup(nerv_act_name(c->out_act)));
    add_option(argv, "--pe-base", g_strdup_printf("%g", c->pe_base));
    add_option(argv, "--pe-levels", g_strdup_printf("%d", c->pe_levels));
}

/* Names as in tools/peers/dnerv_torch.py. */
static char *join_parts(uint32_t parts)
{
    static const char *const names[] = { "flow",    "saf",  "mix",   "keys", "norm",
                                         "pyramid", "skip", "grids", "mask" };
    GString *s = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (parts >> i & 1)
            g_string_append_printf(s, "%s%s", s->len ? "," : "", names[i]);
    return g_string_free(s, FALSE);
}

static void add_dnerv(GPtrArray *argv, const NervDnerv *m)
{
    const NervDnervConfig *c = &m->config;
    add_option(argv, "--model", g_strdup("dnerv"));
    add_option(argv, "--videos", join(m->videos, (int32_t)m->head.n_videos));
    add_option(argv, "--clip", g_strdup_printf("%d", c->clip));
    add_option(argv, "--interval", g_strdup_printf("%d", c->interval));
    add_option(argv, "--stem", g_strdup_printf("%d", c->stem));
    add_option(argv, "--row-frames", g_strdup_printf("%d", c->row_frames));
    add_option(argv, "--base-channels", g_strdup_printf("%d", c->base_channels));
    add_option(argv, "--flow-frames", g_strdup_printf("%d", c->flow_frames));
    add_option(argv, "--middle-frames", g_strdup_printf("%d", c->middle_frames));
    add_option(argv, "--middle-channels", g_strdup_printf("%d", c->middle_channels));
    add_option(argv, "--content", g_strdup_printf("%d", c->content));
    add_option(argv, "--widths", join(c->width, c->n_blocks));
    add_option(argv, "--strides", join(c->stride, c->n_blocks));
    add_option(argv, "--parts", join_parts(c->parts));
    add_option(argv, "--pe-base", g_strdup_printf("%g", c->pe_base));
    add_option(argv, "--pe-levels", g_strdup_printf("%d", c->pe_levels));
}

static GPtrArray *command_line(const char *python, const char *script, const char *device, const NervModel *m,
                               guint threads, uint32_t batch)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, g_strdup(python));
    g_ptr_array_add(argv, g_strdup(script));
    g_ptr_array_add(argv, g_strdup("--serve"));
    add_option(argv, "--width", g_strdup_printf("%d", m->clip.width));
    add_option(argv, "--height", g_strdup_printf("%d", m->clip.height));
    if (m->klass == &nerv_model_class_nerv)
        add_nerv(argv, &((const NervNerv *)m)->config);
    else
        add_dnerv(argv, (const NervDnerv *)m);
    add_option(argv, "--device", g_strdup(device));
    add_option(argv, "--batch", g_strdup_printf("%u", batch));
    add_option(argv, "--threads", g_strdup_printf("%u", threads));
    g_ptr_array_add(argv, NULL);
    return argv;
}

/* Whether it counts the same parameters: that it is another network by mistake would show nowhere else. */
static bool check_parameters(const char *about, const NervModel *model, GError **error)
{
    const char *key = "\"parameters\": ", *at = strstr(about, key);
    const gint64 n = at ? g_ascii_strtoll(at + strlen(key), NULL, 10) : model->n_weights;
    if (n != model->n_weights)
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                    "the PyTorch peer's network has %" G_GINT64_FORMAT
                    " parameters and not %" G_GINT64_FORMAT,
                    n, model->n_weights);
    return n == model->n_weights;
}

static char *read_line(BenchPeer *p, GError **error)
{
    char buffer[4096];
    if (!fgets(buffer, sizeof(buffer), p->from)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "the PyTorch peer ended without an answer");
        return NULL;
    }
    return g_strdup(g_strchomp(buffer));
}

BenchPeer *bench_peer_new(const char *python, const char *script, const char *device, const NervModel *model,
                          guint threads, uint32_t batch, GError **error)
{
    int to = -1, from = -1;
    if (model->klass != &nerv_model_class_nerv && model->klass != &nerv_model_class_dnerv) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "there is no PyTorch peer of model %s",
                    model->klass->name);
        return NULL;
    }
    g_autoptr(GPtrArray) argv = command_line(python, script, device, model, threads, batch);
    BenchPeer *p = g_new0(BenchPeer, 1);
    if (!g_spawn_async_with_pipes(NULL, (char **)argv->pdata, NULL,
                                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &p->pid, &to,
                                  &from, NULL, error)) {
        g_free(p);
        return NULL;
    }
    signal(SIGPIPE, SIG_IGN);
    p->to = fdopen(to, "w");
    p->from = fdopen(from, "r");
    p->about = read_line(p, error);
    if (!p->about || !check_parameters(p->about, model, error)) {
        bench_peer_free(p);
        return NULL;
    }
    return p;
}

void bench_peer_free(BenchPeer *p)
{
    if (!p)
        return;
    fputs("quit\n", p->to);
    fclose(p->to);
    fclose(p->from);
    waitpid(p->pid, NULL, 0);
    g_spawn_close_pid(p->pid);
    g_free(p->about);
    g_free(p);
}

double bench_peer_ask(BenchPeer *p, const char *line, const char *key, GError **error)
{
    fprintf(p->to, "%s\n", line);
    fflush(p->to);
    g_autofree char *answer = read_line(p, error);
    g_autofree char *quoted = g_strdup_printf("\"%s\": ", key);
    const char *at = answer ? strstr(answer, quoted) : NULL;
    if (answer && !at)
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "the PyTorch peer answered \"%s\" with \"%s\"", line,
                    answer);
    return at ? g_ascii_strtod(at + strlen(quoted), NULL) : -1;
}

const char *bench_peer_about(const BenchPeer *p)
{
    return p->about;
}
