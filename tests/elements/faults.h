/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A Vulkan device that fails on demand: the program defines the functions of Vulkan's loader that can fail itself, in front of the
 * library's, and passes them on until a fault is due. Only calls that the fault can come from are counted. What was submitted is waited for
 * before anything fails, because a device that is lost has stopped, and software goes on with memory that was taken from it.
 */
#pragma once

#include <glib.h>

typedef enum {
    FAULT_NONE,
    FAULT_LOST,    /* VK_ERROR_DEVICE_LOST of submissions and waits */
    FAULT_TIMEOUT, /* VK_TIMEOUT of waits */
    FAULT_MEMORY,  /* VK_ERROR_OUT_OF_DEVICE_MEMORY of whatever allocates */
    FAULT_MAP,     /* VK_ERROR_MEMORY_MAP_FAILED of vkMapMemory() */
} FaultKind;

/* The first-th call of those that count fails, and so do all that follow; 0: none does, calls are only counted. */
void faults_set(FaultKind kind, guint first);
/* Calls since then; none counts before the first buffer is made, when a device is open. */
guint faults_calls(void);
