/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Maps and variables that several hook families share. Weak, so that every object may define them and the static linker keeps one.
 * Sizes given as 1 are set by the loader.
 */
#ifndef KEYTRAIL_BPF_MAPS_H
#define KEYTRAIL_BPF_MAPS_H

#include "vmlinux_core.h"
#include "control.h"

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

/* Per cgroup: events in the running second, and whether its path was sent. */
struct cgroup_state {
	u64 second;
	u64 used;
	u32 announced;
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct cgroup_state);
} cgroups_seen __weak SEC(".maps");

#define SCRATCH_OPEN 0
#define SCRATCH_EXEC 1
#define SCRATCH_UNIX 2
#define SCRATCH_NAME 3
#define SCRATCH_SWEEP 4
#define SCRATCH_CGROUP 5
#define SCRATCHES 6
#define SCRATCH_BYTES 16384

/* Work memory of one family on one CPU. `busy` guards against a program that interrupts another of its family. */
struct scratch {
	u32 busy;
	/* path walk */
	u32 off;   /* where the next byte goes in buf */
	u32 limit; /* first byte that a path must not reach */
	u32 truncated;
	u64 dentry;
	u64 mnt; /* struct vfsmount */
	u64 root_dentry;
	u64 root_mnt;
	/* strings of exec */
	u64 pos; /* next string in user memory */
	u64 end;
	u32 text_len; /* bytes of it in text, without the NUL */
	u32 full_len;
	u32 name_len;
	u32 index;
	u32 items; /* where the next item goes in buf */
	u32 flag_pending;
	u32 flag_kind;
	u32 flag_path; /* bits of kt_flag.path_of that hold here */
	u32 programs;  /* bits of kt_flag.path_of that are this program's */
	u32 words;
	u32 action;
	u32 fault;
	u64 hash[2];
	struct kt_name name;
	u8 text[1024];
	u8 skip[4096];
	u8 buf[SCRATCH_BYTES + 1024];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCHES);
	__type(key, u32);
	__type(value, struct scratch);
} scratches __weak SEC(".maps");

struct kt_control control __weak;

const volatile kt_u64 cfg_sip_key[2] __weak = {};
const volatile kt_u64 cfg_budget __weak = 0;
const volatile kt_u32 cfg_v1_controllers __weak = 0; /* bit = cgroup_subsys_id that lives in a v1 hierarchy */

static __always_inline struct scratch *scratch__get(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);

	if (!s || s->busy)
		return NULL;
	s->busy = 1;
	s->truncated = 0;
	return s;
}

static __always_inline void scratch__put(struct scratch *s)
{
	s->busy = 0;
}

#endif
