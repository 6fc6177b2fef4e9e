/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For programs that run at targets found while running: the cookie of the place is its target's slot, and its runs are
 * counted there. */
#ifndef KEYTRAIL_BPF_TARGETS_H
#define KEYTRAIL_BPF_TARGETS_H

#include "vmlinux_core.h"
#include "control.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KT_TARGETS);
	__type(key, u32);
	__type(value, u64);
} target_hits __weak SEC(".maps");

/* The first thing that such a program does. */
static __always_inline void target__hit(void *ctx)
{
	u32 slot = bpf_get_attach_cookie(ctx);
	u64 *hits = bpf_map_lookup_elem(&target_hits, &slot);

	if (hits)
		__sync_fetch_and_add(hits, 1);
}

#endif
