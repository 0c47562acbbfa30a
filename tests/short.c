/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * malloc() and its kin that fail on demand, see short.h. They take effect because the program exports them (meson's export_dynamic).
 */
#include "short.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* dlsym() allocates: until it is through memory comes from here. */
static char early[4096] __attribute__((aligned(64)));
static atomic_size_t early_used;

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void (*free)(void *);
} real;

static atomic_bool is_on, all;
static atomic_uint first, calls;
static atomic_long live;

static bool is_early(const void *p)
{
    return (const char *)p >= early && (const char *)p < early + sizeof early;
}

static void *take_early(size_t bytes)
{
    const size_t at = atomic_fetch_add(&early_used, (bytes + 63) / 64 * 64);
    if (at + bytes > sizeof early)
        abort();
    return early + at;
}

/* Once, before there are threads. */
static bool ready(void)
{
    static bool finding;
    if (real.free)
        return true;
    if (finding)
        return false;
    finding = true;
    *(void **)&real.malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&real.calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&real.realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&real.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    *(void **)&real.aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    *(void **)&real.memalign = dlsym(RTLD_NEXT, "memalign");
    *(void **)&real.free = dlsym(RTLD_NEXT, "free");
    finding = false;
    return true;
}

/* SHORT_TRACE=1 shows what asked for it. */
static void trace(void)
{
    static const char line[] = "--- fails:\n";
    void *frames[32];
    if (!getenv("SHORT_TRACE"))
        return;
    atomic_store(&is_on, false);
    if (write(2, line, sizeof line - 1) > 0)
        backtrace_symbols_fd(frames, backtrace(frames, 32), 2);
    atomic_store(&is_on, true);
}

static bool fails(size_t bytes)
{
    if (bytes < SHORT_LEAST_BYTES || !atomic_load(&is_on))
        return false;
    const unsigned n = atomic_fetch_add(&calls, 1) + 1, from = atomic_load(&first);
    if (from == 0 || n < from || (n > from && !atomic_load(&all)))
        return false;
    trace();
    errno = ENOMEM;
    return true;
}

static void *count(void *p)
{
    if (p)
        atomic_fetch_add(&live, 1);
    return p;
}

void *malloc(size_t bytes)
{
    if (!ready())
        return take_early(bytes);
    return fails(bytes) ? NULL : count(real.malloc(bytes));
}

void *calloc(size_t n, size_t bytes)
{
    size_t total;
    if (!ready())
        return take_early(n * bytes); /* zeros, as it is taken once */
    return !__builtin_mul_overflow(n, bytes, &total) && fails(total) ? NULL : count(real.calloc(n, bytes));
}

void *realloc(void *p, size_t bytes)
{
    if (is_early(p)) {
        void *copy = malloc(bytes);
        if (copy)
            memcpy(copy, p,
                   (size_t)(early + sizeof early - (char *)p) < bytes
                       ? (size_t)(early + sizeof early - (char *)p)
                       : bytes);
        return copy;
    }
    if (!ready() || fails(bytes))
        return NULL;
    void *new = real.realloc(p, bytes);
    if (!p)
        return count(new);
    if (bytes == 0 && !new)
        atomic_fetch_sub(&live, 1);
    return new;
}

int posix_memalign(void **p, size_t align, size_t bytes)
{
    if (!ready() || fails(bytes))
        return ENOMEM;
    const int e = real.posix_memalign(p, align, bytes);
    if (e == 0)
        count(*p);
    return e;
}

void *aligned_alloc(size_t align, size_t bytes)
{
    return !ready() || fails(bytes) ? NULL : count(real.aligned_alloc(align, bytes));
}

void *memalign(size_t align, size_t bytes);
void *memalign(size_t align, size_t bytes)
{
    return !ready() || fails(bytes) ? NULL : count(real.memalign(align, bytes));
}

void free(void *p)
{
    if (!p || is_early(p) || !ready())
        return;
    atomic_fetch_sub(&live, 1);
    real.free(p);
}

void short_begin(unsigned new_first, bool new_all)
{
    atomic_store(&first, new_first);
    atomic_store(&all, new_all);
    atomic_store(&calls, 0);
    atomic_store(&is_on, true);
}

unsigned short_end(void)
{
    atomic_store(&is_on, false);
    return atomic_load(&calls);
}

long short_live(void)
{
    return atomic_load(&live);
}

bool short_works(void)
{
    short_begin(1, false);
    void *volatile p = malloc(SHORT_LEAST_BYTES);
    short_end();
    free(p);
    return !p;
}
