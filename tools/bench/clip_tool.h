/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What programs have in common that measure something on each of a few clips: their arguments, a folder for what is between pipelines, and results that are
 * written even if a later clip fails. Exit status: 0 measured, 1 not, 2 wrong arguments.
 */
#pragma once

#include "json.h"
#include "rd_clip.h"

/* What the arguments of all of them say. */
typedef struct {
    char *device; /* not empty */
    int threads;
    char *
        directory; /* a folder for files; it and what is in it go in the end. NULL while arguments are checked */
    Json json;
} ClipRun;

typedef struct {
    const char *name, *purpose; /* "nerv-denoise", "noise on video, and off it again" */
    const GOptionEntry
        *options;            /* its own, beside --frames, --size, --device, --threads, --json and the clips */
    const char *frames_help; /* of --frames: "The first N of each clip, 2 to 100000 (default 32)" */
    int least_frames, frames; /* at least, and by default; a default of 0: all, which can be asked for */
    bool (*check)(void *user, GError **error); /* its own arguments; may be NULL */
    /* In front of the clips; adds to the object of the results. May be NULL. */
    bool (*begin)(void *user, ClipRun *run, GError **error);
    /* One clip; adds an element to the array of clips. */
    bool (*measure)(void *user, ClipRun *run, const RdClip *clip, GError **error);
} ClipTool;

/* The program; what it returns is the exit status. */
int clip_tool_main(const ClipTool *tool, void *user, int argc, char **argv);

/* For an option that may be repeated: collects its values in *list, of char *, which is made with the first. */
void clip_tool_collect(GPtrArray **list, const char *value);
