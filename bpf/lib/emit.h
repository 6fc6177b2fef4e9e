/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way out, with its accounting: each hook run counts one hit at its start and one fate at its end. Never wakes the
 * reader.
 */
#ifndef KEYTRAIL_BPF_EMIT_H
#define KEYTRAIL_BPF_EMIT_H

#include "task.h"

#define CGROUP_DEPTH 24

static __always_inline void count(struct counters *c, u32 family, u32 what)
{
	if (c)
		__sync_fetch_and_add(&c->v[family * KT_COUNTERS_PER_FAMILY + what], 1);
}

/* A hook ran. The result goes to hit__end. */
static __always_inline struct counters *hit__begin(u32 family)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct counters *c = bpf_map_lookup_elem(&counters, &cpu);

	count(c, family, KT_C_HITS);
	return c;
}

static __always_inline int hit__end(struct counters *c, u32 family, u32 fate)
{
	count(c, family, fate);
	return 0;
}

/*
 * Sends `size` bytes; the fate is returned. No wakeup: it would cost whoever is traced an interrupt of another CPU, and
 * the worker looks every 2 to 20 ms anyway.
 */
static __always_inline u32 ring__send(void *ring, void *data, u64 size)
{
	return bpf_ringbuf_output(ring, data, size, BPF_RB_NO_WAKEUP) ? KT_C_LOST_RING : KT_C_SENT;
}

/*
 * May others than root make a cgroup in this directory, its owner, a group or all? Then its depth is the claim, with
 * the owner's uid above, where that is not root; else the claim `before`. A function of its own, without a branch for
 * the loop that calls it: inlined, all programs together took the verifier twice as long.
 */
#define OTHERS_WRITE 0002
#define GROUP_WRITES 0020
__weak __noinline u64 kernfs__claim(u64 kn, u32 depth, u64 before)
{
	u16 mode = BPF_CORE_READ((struct kernfs_node *)kn, mode);
	u64 attributes = (u64)BPF_CORE_READ((struct kernfs_node *)kn, iattr);
	u32 uid = 0, gid = 0;

	if (attributes) {
		uid = BPF_CORE_READ((struct kernfs_iattrs *)attributes, ia_uid.val);
		gid = BPF_CORE_READ((struct kernfs_iattrs *)attributes, ia_gid.val);
	}
	if (!uid && !(mode & OTHERS_WRITE) && !(gid && (mode & GROUP_WRITES)))
		return before;
	return (uid ? (u64)uid : before >> 32) << 32 | depth;
}

/* KT_EV_CGROUP: the path of a cgroup, leaf first, and which of it root has not named. An event of its own family and
 * accounting. */
__weak __noinline int cgroup__announce(u64 id, u64 node)
{
	struct counters *c = hit__begin(KT_FAMILY_LIFETIME);
	struct scratch *s = scratch__get(SCRATCH_CGROUP);
	struct identity nobody = {};
	struct ev_cgroup *ev;
	u32 off = sizeof(*ev), fate;
	u64 name, parent, claim = 0;
	long len;
	int i;

	if (!s) {
		hit__end(c, KT_FAMILY_LIFETIME, KT_C_LOST_SCRATCH);
		return 0;
	}
	ev = (struct ev_cgroup *)s->buf;
	head__fill(&ev->head, &nobody, id, KT_EV_CGROUP, KT_FAMILY_LIFETIME);
	ev->head.flags = KT_F_LEAF_FIRST;
	for (i = 0; i < CGROUP_DEPTH && node; i++) {
		claim = kernfs__claim(node, i, claim);
		parent = kernfs__parent_slow(node);
		if (!parent)
			break;
		name = (u64)BPF_CORE_READ((struct kernfs_node *)node, name);
		/* the mask below says to the verifier what this test has settled */
		if (off > KT_PATH_MAX - 256) {
			ev->head.flags |= KT_F_TRUNCATED;
			break;
		}
		len = bpf_probe_read_kernel_str(s->buf + (off & 0xfff), 256, (void *)name);
		if (len <= 0) {
			ev->head.flags |= KT_F_MISSING;
			break;
		}
		off += len;
		node = parent;
	}
	if (i == CGROUP_DEPTH)
		ev->head.flags |= KT_F_TRUNCATED;
	ev->path_len = off - sizeof(*ev);
	ev->claimed = (u32)claim;
	ev->owner = claim >> 32;
	fate = ring__send(&ring_low, ev, off & 0xfff);
	hit__end(c, KT_FAMILY_LIFETIME, fate);
	scratch__put(s);
	return fate == KT_C_SENT;
}

/*
 * Announces a cgroup that is new and takes one event from its budget. False: the budget of this second is spent.
 * `head` is of the event that comes next, or NULL: it must not be older than the announcement, or user space meets it
 * before it knows whose it is.
 */
static __always_inline bool cgroup__admit(struct ev_head *head, u64 id, u64 node)
{
	struct cgroup_state *state = bpf_map_lookup_elem(&cgroups_seen, &id);
	u64 second;

	if (!state) {
		struct cgroup_state fresh = {};

		bpf_map_update_elem(&cgroups_seen, &id, &fresh, BPF_NOEXIST);
		state = bpf_map_lookup_elem(&cgroups_seen, &id);
		if (!state)
			return true;
	}
	if (!state->announced) { /* two CPUs may meet here: then it is told twice, which harms nothing */
		u64 address = 0;

		/* the verifier knows `node` as a pointer and wants a number for a global function */
		bpf_probe_read_kernel(&address, sizeof(address), &node);
		state->announced = 1;
		if (!cgroup__announce(id, address))
			state->announced = 0;
		if (head)
			head->time_ns = bpf_ktime_get_boot_ns();
	}
	if (!cfg_budget)
		return true;
	/* 1.07 s: near enough, and no division. The event has just read the clock */
	second = (head ? head->time_ns : bpf_ktime_get_boot_ns()) >> 30;
	if (state->second < second) {
		state->second = second;
		state->used = 0;
	}
	__sync_fetch_and_add(&state->used, 1);
	return state->used <= cfg_budget;
}

#define LOST_PROBES 8

/*
 * Says whose an event was that a spent budget costs, before the counters have it. A slot is taken by who reads his own
 * addition alone (below Linux 5.12 none returns a value): of two that meet there neither may have it, and it stays
 * empty. What finds none is nobody's.
 */
__weak __noinline int cgroup__lost(u64 cgroup_id, u32 family)
{
	u32 first = (cgroup_id * 0x9E3779B97F4A7C15ULL) >> 55, key, i;
	struct kt_lost *at;
	u64 of;

	if (!cgroup_id)
		return 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < LOST_PROBES; i++) {
		key = (first + i) & (KT_LOST_SLOTS - 1);
		at = bpf_map_lookup_elem(&cgroups_lost, &key);
		if (!at)
			return 0;
		if (!*(volatile u64 *)&at->takers) {
			__sync_fetch_and_add(&at->takers, 1);
			if (*(volatile u64 *)&at->takers == 1)
				*(volatile u64 *)&at->cgroup_id = cgroup_id;
		}
		if (*(volatile u64 *)&at->cgroup_id != cgroup_id)
			continue;
		of = family * sizeof(u64);
		asm volatile("" : "+r"(of)); /* the test stays beside what it bounds: the verifier must see it */
		if (of <= sizeof(at->lost) - sizeof(u64))
			__sync_fetch_and_add((u64 *)((void *)at->lost + of), 1);
		return 1;
	}
	return 0;
}

/* Sends a hook's event: budget, ring, counters. Returns the fate, which is already counted. */
static __always_inline u32 event__send(void *ring, struct counters *c, u32 family, void *data, u64 size, u64 cgroup_id,
				       u64 node)
{
	u32 fate = KT_C_LOST_BUDGET;

	if (cgroup__admit(data, cgroup_id, node))
		fate = ring__send(ring, data, size);
	else
		cgroup__lost(cgroup_id, family);
	hit__end(c, family, fate);
	return fate;
}

#endif
