/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * checkop: the program. For every op it runs the case's trials at every CPU level and on Vulkan, compares
 * them with the op's plain C reference, repeats them with other numbers of threads and with outputs left out,
 * checks gradient rules, and prints a table. What is compared how: trial.c, run.c, grad.c.
 */
#include <string.h>

#include "harness.h"
#include "vulkan/validation.h"

#define EXIT_SKIP 77
#define COL_C     0
#define COL_VK    NERV_CPU_N_LEVELS
#define COL_GRAD  (NERV_CPU_N_LEVELS + 1)
#define N_COLS    (NERV_CPU_N_LEVELS + 2)

typedef struct {
    uint32_t passed, failed, skipped;
} Count;

typedef struct {
    uint64_t seed;
    NervBackend
        *cpu[NERV_CPU_N_LEVELS][2]; /* 1 and 3 threads; NULL where the machine or the options lack it */
    NervPool *pool[2];
    NervBackend *vk;
    bool want_cpu, want_vk; /* what is asked for and missing counts as skipped */
} Checker;

static char *opt_op, *opt_device, *opt_level;
static gint64 opt_seed = 1;
static gboolean opt_list, opt_bench, opt_validation, opt_vulkan;

static const GOptionEntry options[] = {
    { "op", 0, 0, G_OPTION_ARG_STRING, &opt_op, "Only this op", "NAME" },
    { "device", 0, 0, G_OPTION_ARG_STRING, &opt_device, "Only this device: cpu, vulkan or vulkan:N",
      "DEVICE" },
    { "level", 0, 0, G_OPTION_ARG_STRING, &opt_level, "Only this CPU level: c, baseline, avx2 or avx512",
      "LEVEL" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, "Seed of shapes and values (default 1)", "N" },
    { "list", 0, 0, G_OPTION_ARG_NONE, &opt_list, "List ops, cases and devices", NULL },
    { "bench", 0, 0, G_OPTION_ARG_NONE, &opt_bench, "Measure throughput instead of checking", NULL },
    { "vulkan", 0, 0, G_OPTION_ARG_NONE, &opt_vulkan,
      "Only Vulkan: the device in NERV_CHECKOP_DEVICE, else vulkan:0", NULL },
    { "validation", 0, 0, G_OPTION_ARG_NONE, &opt_validation,
      "Run Vulkan under the Khronos validation layer; any message is a failure", NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static const CheckCase *find_case(const char *op)
{
    for (const CheckCase *const *c = check_cases; *c; c++)
        if (strcmp((*c)->op, op) == 0)
            return *c;
    return NULL;
}

static bool count(Count *n, bool ok, const NervOp *op, uint32_t trial, const char *where, GString *why)
{
    if (ok)
        n->passed++;
    else
        g_printerr("FAIL %s trial %u, %s: %s\n", op->name, trial, where, why->str);
    n->failed += !ok;
    g_string_truncate(why, 0);
    return ok;
}

/* --- one trial on one backend --- */

/* Two runs of one exec must agree bit by bit, and with `want`. Leaves the first run in *r. */
static bool run_twice(NervBackend *be, const CheckTrial *t, const CheckResult *want, bool exact,
                      CheckResult *r, GString *why)
{
    CheckResult again = { 0 };
    CheckExec *x = check_exec_new(be, t, why);
    bool ok = x && check_exec_run(x, r, why) && (!want || check_compare(t, r, want, exact, why));
    if (ok) {
        g_string_append(why, "second run of the same plan: ");
        ok = check_exec_run(x, &again, why) && check_compare(t, &again, r, true, why);
        if (ok)
            g_string_truncate(why, 0);
    }
    check_exec_free(x);
    check_result_clear(&again);
    return ok;
}

/* Runs with each output in turn as the only one that is read: the others are then dead and must not be
 * written. */
static bool run_partial(NervBackend *be, const CheckTrial *t, const CheckResult *want, GString *why)
{
    NervTensor **outs = (NervTensor **)t->tape->tensors->pdata;
    uint32_t n_out = 0;
    bool ok = true;
    for (uint32_t i = 0; i < t->n_tensors; i++)
        n_out += outs[i]->is_output;
    if (n_out < 2 || t->op->alias[0])
        return true;

    bool *was = g_new0(bool, t->n_tensors);
    for (uint32_t i = 0; i < t->n_tensors; i++)
        was[i] = outs[i]->is_output;
    for (uint32_t keep = 0; ok && keep < t->n_tensors; keep++) {
        CheckResult r = { 0 };
        if (!was[keep])
            continue;
        for (uint32_t i = 0; i < t->n_tensors; i++)
            outs[i]->is_output = i == keep;
        ok = run_twice(be, t, want, false, &r, why);
        if (!ok) {
            g_string_append(why, "; with all other outputs dead but ");
            check_describe(why, outs[keep]);
        }
        check_result_clear(&r);
    }
    for (uint32_t i = 0; i < t->n_tensors; i++)
        outs[i]->is_output = was[i];
    g_free(was);
    return ok;
}

/* One CPU level: plan and backend with one and with three threads, then node by node in guarded memory. */
static bool check_level(const Checker *ck, NervCpuLevel level, const CheckTrial *t, const CheckResult *want,
                        GString *why)
{
    CheckResult one = { 0 }, three = { 0 }, direct[2] = { { 0 }, { 0 } };
    bool ok = run_twice(ck->cpu[level][0], t, want, level == NERV_CPU_C, &one, why);
    if (ok) {
        g_string_append(why, "3 threads against 1: ");
        ok = run_twice(ck->cpu[level][1], t, &one, true, &three, why);
    }
    for (uint32_t i = 0; ok && i < 2; i++) {
        g_string_printf(why, "in guarded memory, %u threads: ", i ? 3 : 1);
        ok = check_run_direct(t, level, ck->pool[i], &direct[i], why) &&
             check_compare(t, &direct[i], &one, true, why);
    }
    if (ok) {
        g_string_truncate(why, 0);
        ok = run_partial(ck->cpu[level][1], t, want, why);
    }
    check_result_clear(&one);
    check_result_clear(&three);
    check_result_clear(&direct[0]);
    check_result_clear(&direct[1]);
    return ok;
}

static void check_trial(const Checker *ck, const CheckCase *kase, const NervOp *op, uint32_t trial,
                        Count *row)
{
    g_autoptr(GString) why = g_string_new(NULL);
    CheckResult want = { 0 }, vk = { 0 };
    CheckTrial *t = check_trial_new(kase, op, ck->seed, trial, why);
    CheckExec *x = t ? check_exec_new(ck->cpu[COL_C][0], t, why) : NULL;
    if (!x || !check_exec_run(x, &want, why) || !check_compare(t, &want, &want, false, why)) {
        count(&row[COL_C], false, op, trial, "reference", why);
        goto out;
    }
    for (uint32_t level = 0; level < NERV_CPU_N_LEVELS; level++) {
        if (ck->cpu[level][1])
            count(&row[level], check_level(ck, level, t, &want, why), op, trial, nerv_cpu_level_name(level),
                  why);
        else
            row[level].skipped += ck->want_cpu;
    }
    if (ck->vk) {
        const bool ok = run_twice(ck->vk, t, &want, false, &vk, why) && run_partial(ck->vk, t, &want, why);
        count(&row[COL_VK], ok, op, trial, "vulkan", why);
    } else {
        row[COL_VK].skipped += ck->want_vk;
    }
out:
    check_exec_free(x);
    check_result_clear(&want);
    check_result_clear(&vk);
    check_trial_free(t);
}

static void check_op(const Checker *ck, const NervOp *op, Count *row)
{
    g_autoptr(GString) why = g_string_new(NULL);
    const CheckCase *kase = find_case(op->name);
    if (!kase || kase->n_trials == 0) {
        g_string_append(why, "the op has no case or no trial");
        count(&row[COL_C], false, op, 0, "cases", why);
        return;
    }
    for (uint32_t i = 0; i < kase->n_trials; i++)
        check_trial(ck, kase, op, i, row);
    if (!ck->cpu[COL_C][1])
        return;
    if (op->grad && kase->n_grad_trials == 0) {
        g_string_append(why, "the op has a gradient rule that no trial checks");
        count(&row[COL_GRAD], false, op, 0, "cases", why);
    }
    for (uint32_t i = 0; i < kase->n_grad_trials; i++)
        count(&row[COL_GRAD], check_gradient(kase, op, ck->seed, i, ck->cpu[COL_C][0], why), op, i,
              "gradient", why);
}

/* --- all of them --- */

static void print_cell(const Count *n)
{
    char cell[32];
    if (n->passed + n->failed == 0)
        g_strlcpy(cell, n->skipped ? "skip" : "-", sizeof cell);
    else if (n->failed)
        g_snprintf(cell, sizeof cell, "%u FAIL", n->failed);
    else
        g_snprintf(cell, sizeof cell, "%u", n->passed);
    g_print(" %9s", cell);
}

static bool check_all(const Checker *ck)
{
    Count total = { 0 };
    uint32_t n_ops = 0;
    Count(*rows)[N_COLS] = NULL;

    while (nerv_ops[n_ops])
        n_ops++;
    rows = g_malloc0_n(n_ops + 1, sizeof *rows);
    for (uint32_t i = 0; i < n_ops; i++)
        if (!opt_op || strcmp(opt_op, nerv_ops[i]->name) == 0)
            check_op(ck, nerv_ops[i], rows[i]);

    g_print("%-18s", "trials passed");
    for (uint32_t level = 0; level < NERV_CPU_N_LEVELS; level++)
        g_print(" %9s", nerv_cpu_level_name(level));
    g_print(" %9s %9s\n", "vulkan", "gradient");
    for (uint32_t i = 0; i < n_ops; i++) {
        if (opt_op && strcmp(opt_op, nerv_ops[i]->name) != 0)
            continue;
        g_print("%-18s", nerv_ops[i]->name);
        for (uint32_t c = 0; c < N_COLS; c++) {
            print_cell(&rows[i][c]);
            total.passed += rows[i][c].passed;
            total.failed += rows[i][c].failed;
            total.skipped += rows[i][c].skipped;
        }
        g_print("\n");
    }
    if (ck->vk && opt_validation) {
        const uint32_t n = nerv_vulkan_validation_messages();
        g_print("Vulkan validation messages: %u\n", n);
        total.failed += n;
    }
    g_print("%u passed, %u failed, %u skipped\n", total.passed, total.failed, total.skipped);
    g_free(rows);
    return total.failed == 0 && total.passed > 0;
}

static bool bench_all(const Checker *ck)
{
    bool ok = true;
    for (const NervOp *const *op = nerv_ops; *op; op++) {
        const CheckCase *kase = find_case((*op)->name);
        if (!kase || (opt_op && strcmp(opt_op, (*op)->name) != 0))
            continue;
        for (uint32_t level = 0; level < NERV_CPU_N_LEVELS; level++)
            if (ck->cpu[level][1])
                ok &= check_bench(kase, *op, ck->cpu[level][1], nerv_cpu_level_name(level));
        if (ck->vk)
            ok &= check_bench(kase, *op, ck->vk, "vulkan");
    }
    return ok;
}

static void list_all(void)
{
    g_autofree char *devices = nerv_backend_list();
    for (const NervOp *const *op = nerv_ops; *op; op++) {
        const CheckCase *kase = find_case((*op)->name);
        g_print("%-18s %2u trials, %u of gradients; tolerance %g + %g relative%s%s\n", (*op)->name,
                kase ? kase->n_trials : 0, kase ? kase->n_grad_trials : 0, (double)(*op)->atol,
                (double)(*op)->rtol, kase && kase->note ? "; " : "", kase && kase->note ? kase->note : "");
    }
    g_print("%s", devices);
}

/* --- set-up --- */

static void choose_devices(Checker *ck)
{
    const char *named = opt_device ? opt_device : g_getenv("NERV_CHECKOP_DEVICE");
    ck->want_cpu = !opt_vulkan && (!opt_device || strcmp(opt_device, "cpu") == 0);
    ck->want_vk = opt_vulkan || (!opt_level && (!named || strcmp(named, "cpu") != 0));
}

static bool open_cpu(Checker *ck, GError **error)
{
    const uint32_t three = opt_bench ? 0 : 3;
    /* The reference is always needed; it is checked itself only if the CPU was asked for. */
    ck->cpu[COL_C][0] = nerv_cpu_backend_new_level(1, NERV_CPU_C, error);
    if (!ck->cpu[COL_C][0])
        return false;
    for (uint32_t level = 0; ck->want_cpu && level <= nerv_cpu_level_hardware(); level++) {
        if ((opt_level && strcmp(opt_level, nerv_cpu_level_name(level)) != 0) ||
            (level != NERV_CPU_C && !nerv_dsp_get(level)))
            continue;
        if (!ck->cpu[level][0])
            ck->cpu[level][0] = nerv_cpu_backend_new_level(1, level, error);
        ck->cpu[level][1] = nerv_cpu_backend_new_level(three, level, error);
        if (!ck->cpu[level][0] || !ck->cpu[level][1])
            return false;
    }
    return true;
}

/* Returns an exit status, -1 to go on. A device that is not there is a skip; any other failure is one. */
static int open_vulkan(Checker *ck)
{
    const char *named = opt_device ? opt_device : g_getenv("NERV_CHECKOP_DEVICE");
    g_autoptr(GError) error = NULL;
    if (!ck->want_vk)
        return -1;
    if (opt_validation)
        g_setenv("NERV_VULKAN_VALIDATION", "1", TRUE);
    ck->vk = nerv_backend_open(named ? named : "vulkan:0", 0, &error);
    if (ck->vk) {
        g_print("Vulkan device: %s\n", ck->vk->description);
        return -1;
    }
    g_print("Vulkan skipped: %s\n", error->message);
    if (!g_error_matches(error, NERV_ERROR, NERV_ERROR_DEVICE))
        return 1;
    return ck->want_cpu ? -1 : EXIT_SKIP;
}

static void close_all(Checker *ck)
{
    for (uint32_t level = 0; level < NERV_CPU_N_LEVELS; level++)
        for (uint32_t i = 0; i < 2; i++)
            nerv_backend_free(ck->cpu[level][i]);
    nerv_backend_free(ck->vk);
    nerv_pool_free(ck->pool[0]);
    nerv_pool_free(ck->pool[1]);
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context =
        g_option_context_new("- check every op against its plain C reference");
    g_autoptr(GError) error = NULL;
    Checker ck = { 0 };
    int status;

    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        g_printerr("%s\n", error->message);
        return 2;
    }
    if (opt_list) {
        list_all();
        return 0;
    }
    choose_devices(&ck);
    ck.seed = (uint64_t)opt_seed;
    ck.pool[0] = nerv_pool_new(1);
    ck.pool[1] = nerv_pool_new(3);
    if (!open_cpu(&ck, &error)) {
        g_printerr("%s\n", error->message);
        status = 1;
    } else {
        status = open_vulkan(&ck);
    }
    if (status < 0)
        status = (opt_bench ? bench_all(&ck) : check_all(&ck)) ? 0 : 1;
    close_all(&ck);
    return status;
}
