/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Maps and variables that several hook families share. Weak, so that every object may define them and the static linker
 * keeps one. Sizes given as 1 are set by the loader.
 */
#ifndef KEYTRAIL_BPF_MAPS_H
#define KEYTRAIL_BPF_MAPS_H

#include "vmlinux_core.h"
#include "control.h"
#include "scratch.h"

/*
 * Two rings, so that a flood of the one cannot push out the other. High: what a claim rests on (exec, open, connect,
 * first payload). Low: what completes it (forks, ends, bytes, DNS answers, cgroup paths).
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring_high __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring_low __weak SEC(".maps");

struct counters {
	u64 v[KT_COUNTERS];
};

/* One block per possible CPU; mapped by the worker. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counters);
} counters __weak SEC(".maps");

/* What cgroups lost because their budget was spent; mapped by the worker. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, KT_LOST_SLOTS);
	__type(key, u32);
	__type(value, struct kt_lost);
} cgroups_lost __weak SEC(".maps");

/* Per cgroup: events in the running second, and whether its path was sent. */
struct cgroup_state {
	u64 second;
	u64 used;
	u32 announced;
	u32 shaped_second; /* the same for files that only their shape makes candidates */
	u32 shaped;
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct cgroup_state);
} cgroups_seen __weak SEC(".maps");

struct kt_control control __weak;

const volatile kt_u64 cfg_sip_key[2] __weak = {};
const volatile kt_u64 cfg_budget __weak = 0;
const volatile kt_u32 cfg_v1_controllers __weak = 0; /* bit = cgroup_subsys_id that lives in a v1 hierarchy */

#endif
