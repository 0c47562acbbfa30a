/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The peer process, see peer.h.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static GPtrArray *command_line(const char *python, const char *script, const char *device, const NervNerv *m,
                               guint threads, uint32_t batch)
{
    const NervNervConfig *c = &m->config;
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, g_strdup(python));
    g_ptr_array_add(argv, g_strdup(script));
    g_ptr_array_add(argv, g_strdup("--serve"));
    add_option(argv, "--width", g_strdup_printf("%d", m->head.clip.width));
    add_option(argv, "--height", g_strdup_printf("%d", m->head.clip.height));
    add_option(argv, "--stem", g_strdup_printf("%d", c->stem));
    add_option(argv, "--base-channels", g_strdup_printf("%d", c->base_channels));
    add_option(argv, "--widths", join(c->width, c->n_blocks));
    add_option(argv, "--strides", join(c->stride, c->n_blocks));
    add_option(argv, "--kernels", join(c->kernel, c->n_blocks));
    add_option(argv, "--activation", g_strdup(nerv_act_name(c->act)));
    add_option(argv, "--out-activation", g_strdup(nerv_act_name(c->out_act)));
    add_option(argv, "--pe-base", g_strdup_printf("%g", c->pe_base));
    add_option(argv, "--pe-levels", g_strdup_printf("%d", c->pe_levels));
    add_option(argv, "--device", g_strdup(device));
    add_option(argv, "--batch", g_strdup_printf("%u", batch));
    add_option(argv, "--threads", g_strdup_printf("%u", threads));
    g_ptr_array_add(argv, NULL);
    return argv;
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
    if (model->klass != &nerv_model_class_nerv) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "there is no PyTorch peer of model %s",
                    model->klass->name);
        return NULL;
    }
    g_autoptr(GPtrArray) argv = command_line(python, script, device, (const NervNerv *)model, threads, batch);
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
    if (!p->about) {
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
