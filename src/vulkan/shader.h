/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The shaders compiled into the library, by the stem of their file in shaders/. The table is made at build
 * time (shaders/table.py) from the list in shaders/meson.build.
 */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *stem;
    const uint32_t *words; /* SPIR-V */
    const uint32_t *n_words;
    const uint32_t *values; /* mask of the bindings declared with NERV_VALUE_IN or NERV_VALUE_OUT */
} NervShader;

/* Sorted by stem, ended by an entry with a NULL stem. */
extern const NervShader nerv_shaders[];
extern const uint32_t nerv_n_shaders;

/* The shader of a stem, or NULL. */
const NervShader *nerv_shader_find(const char *stem);
/* Its form "<stem>_<variant>", or NULL if it has none. */
const NervShader *nerv_shader_variant(const char *stem, const char *variant);
