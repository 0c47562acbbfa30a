/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a meta-learner did so far, and where it goes on: kept in a file beside the learned start, and shown as a curve.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "json.h"

/* After so many updates. Losses are means of those since the entry before, in front of the inner steps and behind them. */
typedef struct {
    uint32_t update;
    double seconds; /* of learning and validation, in all sittings */
    double loss_before, loss_after;
    double
        psnr; /* dB of clips held out after a short fit from the start, their mean; not a number where there are none */
} MetaEntry;

typedef struct {
    uint32_t update;
    double seconds;
    GArray *entries; /* of MetaEntry */
    float *state;    /* of the learner; NULL at the beginning */
    size_t n_state;
} MetaLog;

void meta_log_init(MetaLog *log);
void meta_log_clear(MetaLog *log);
/* What the learner is to do, as text: a file of another one is refused. A file that is not there is a beginning. */
bool meta_log_load(MetaLog *log, const char *path, const char *task, GError **error);
/* All or nothing: a file that is there is replaced at once. */
bool meta_log_save(const MetaLog *log, const char *path, const char *task, GError **error);

void meta_log_json(const MetaLog *log, Json *j);
/* PSNR over updates beside that of a drawn start, in dB. */
bool meta_log_plot(const MetaLog *log, const char *path, const char *title, double drawn, GError **error);
