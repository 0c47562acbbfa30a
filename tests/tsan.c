/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Loaded in front of tests under ThreadSanitizer, which follows pthread's locks and has no idea of GLib's: those are made of futexes inside a library
 * that is not instrumented, and whatever they guard would be reported. Here GMutex, GCond, reference counts and g_once_init_leave() are made of what it follows. Locks that
 * GLib takes for itself are not replaced, as it binds them within the library; they are only ever taken there.
 */
#include <dlfcn.h>
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

void __tsan_acquire(void *at);
void __tsan_release(void *at);

/* What a zeroed GMutex or GCond points to from its first use on. */
static void *part_of(gpointer *at, gsize bytes, void (*init)(void *), void (*clear)(void *))
{
    void *own = __atomic_load_n(at, __ATOMIC_ACQUIRE), *none = NULL;
    if (!own) {
        own = calloc(1, bytes);
        init(own);
        __tsan_release(at);
        if (__atomic_compare_exchange_n(at, &none, own, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return own;
        clear(own);
        free(own);
        own = none;
    }
    __tsan_acquire(at);
    return own;
}

static void mutex_start(void *p)
{
    pthread_mutex_init(p, NULL);
}

static void mutex_end(void *p)
{
    pthread_mutex_destroy(p);
}

static void cond_start(void *p)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(p, &attr);
    pthread_condattr_destroy(&attr);
}

static void cond_end(void *p)
{
    pthread_cond_destroy(p);
}

static pthread_mutex_t *mutex_of(GMutex *mutex)
{
    return part_of(&mutex->p, sizeof(pthread_mutex_t), mutex_start, mutex_end);
}

static pthread_cond_t *cond_of(GCond *cond)
{
    return part_of(&cond->p, sizeof(pthread_cond_t), cond_start, cond_end);
}

void g_mutex_init(GMutex *mutex)
{
    mutex->p = NULL;
}

void g_mutex_clear(GMutex *mutex)
{
    if (mutex->p) {
        mutex_end(mutex->p);
        free(mutex->p);
    }
    mutex->p = NULL;
}

void g_mutex_lock(GMutex *mutex)
{
    pthread_mutex_lock(mutex_of(mutex));
}

gboolean g_mutex_trylock(GMutex *mutex)
{
    return pthread_mutex_trylock(mutex_of(mutex)) == 0;
}

void g_mutex_unlock(GMutex *mutex)
{
    pthread_mutex_unlock(mutex_of(mutex));
}

void g_cond_init(GCond *cond)
{
    cond->p = NULL;
}

void g_cond_clear(GCond *cond)
{
    if (cond->p) {
        cond_end(cond->p);
        free(cond->p);
    }
    cond->p = NULL;
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
    pthread_cond_wait(cond_of(cond), mutex_of(mutex));
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_us)
{
    const struct timespec end = { end_us / G_USEC_PER_SEC, end_us % G_USEC_PER_SEC * 1000 };
    return pthread_cond_timedwait(cond_of(cond), mutex_of(mutex), &end) != ETIMEDOUT;
}

void g_cond_signal(GCond *cond)
{
    pthread_cond_signal(cond_of(cond));
}

void g_cond_broadcast(GCond *cond)
{
    pthread_cond_broadcast(cond_of(cond));
}

#undef g_atomic_ref_count_dec

/* What others did with the object is behind the last one. */
gboolean g_atomic_ref_count_dec(gatomicrefcount *refs)
{
    __tsan_release((void *)refs);
    if (__atomic_sub_fetch(refs, 1, __ATOMIC_ACQ_REL) != 0)
        return FALSE;
    __tsan_acquire((void *)refs);
    return TRUE;
}

#undef g_once_init_enter
#undef g_once_init_leave

gboolean g_once_init_enter(volatile void *at)
{
    static gboolean (*real)(volatile void *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "g_once_init_enter");
    const gboolean first = real(at);
    __tsan_acquire((void *)at);
    return first;
}

void g_once_init_leave(volatile void *at, gsize value)
{
    static void (*real)(volatile void *, gsize);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "g_once_init_leave");
    __tsan_release((void *)at);
    real(at, value);
}
