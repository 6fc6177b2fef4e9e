/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who: the process instance (group leader's tgid and start, exec number), its users and the cgroup of a task. Two ways
 * to read the kernel: `fast` = plain loads through bpf_rdonly_cast; else probe_read.
 */
#ifndef KEYTRAIL_BPF_TASK_H
#define KEYTRAIL_BPF_TASK_H

#include "maps.h"

/* Reads a member of a kernel structure whose address is known. */
#define READ(fast, address, type, member)                                                                              \
	((fast) ? VIEW(address, type)->member : BPF_CORE_READ((type *)(address), member))

/* Eight bytes at a kernel address. */
static __always_inline u64 word__read(u64 address, const bool fast)
{
	u64 value = 0;

	if (fast)
		return VIEW(address, struct timespec64)->tv_sec;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
	return value;
}

/* The parent of a cgroup's node, 0 at the root. A function of its own: inlined, clang hoists the access that this
 * kernel does not have. */
static __noinline u64 kernfs__parent_slow(u64 kn)
{
	if (bpf_core_field_exists(struct kernfs_node, __parent))
		return (u64)BPF_CORE_READ((struct kernfs_node *)kn, __parent);
	return (u64)BPF_CORE_READ((struct kernfs_node___old *)kn, parent);
}

#define V1_TAG_SHIFT 56

/* The cgroup of one v1 controller, tagged with it (ids repeat between hierarchies); 0 when the task is at the
 * hierarchy's root: there what the controller keeps of a cgroup has no parent. */
static __always_inline u64 cgroup__v1_id(u64 set, u32 controller, const bool fast, u64 *node)
{
	u64 state, cgroup, kn;

	state = word__read(set + bpf_core_field_offset(struct css_set, subsys) + controller * sizeof(u64), fast);
	if (!state || !READ(fast, state, struct cgroup_subsys_state, parent))
		return 0;
	cgroup = (u64)READ(fast, state, struct cgroup_subsys_state, cgroup);
	kn = (u64)READ(fast, cgroup, struct cgroup, kn);
	*node = kn;
	return READ(fast, kn, struct kernfs_node, id) | ((u64)(controller + 1) << V1_TAG_SHIFT);
}

/* The first v1 hierarchy in which the task is not at the root; memory before all: runtimes and systemd always make one
 * there. */
static __always_inline u64 cgroup__v1_first(u64 set, const bool fast, u64 *node)
{
	u32 memory = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	u64 tagged = 0;
	u32 i;

	if (memory < 16 && (cfg_v1_controllers & (1U << memory)))
		tagged = cgroup__v1_id(set, memory, fast, node);
#pragma clang loop unroll(disable)
	for (i = 0; i < 16 && !tagged; i++) {
		if (cfg_v1_controllers & (1U << i))
			tagged = cgroup__v1_id(set, i, fast, node);
	}
	return tagged;
}

/* The cgroup id of a task and its kernfs node: v2, or where that is the root, of a v1 hierarchy. */
static __always_inline u64 task__cgroup(u64 task, const bool fast, u64 *node)
{
	u64 set = (u64)READ(fast, task, struct task_struct, cgroups);
	u64 group = (u64)READ(fast, set, struct css_set, dfl_cgrp);
	u64 kn = (u64)READ(fast, group, struct cgroup, kn);
	u64 id = READ(fast, kn, struct kernfs_node, id);
	u64 tagged;

	*node = kn;
	/* 1 is the root of v2: there everything is where the runtimes use v1 */
	if (id > 1 || !cfg_v1_controllers)
		return id;
	tagged = cgroup__v1_first(set, fast, node);
	return tagged ? tagged : id;
}

/* A process instance: a pid comes again, and the same process may execute another program. And whose it is now. */
struct identity {
	u64 start_ns;
	u32 tgid;
	u32 tid;
	u32 exec;
	u32 uid;
	u32 gid;
	u32 login_uid;
};

/* The instance alone: for what is only compared, and where most runs end before an event is made. */
static __always_inline void task__instance(u64 task, const bool fast, struct identity *who)
{
	u64 leader = (u64)READ(fast, task, struct task_struct, group_leader);

	who->tid = READ(fast, task, struct task_struct, pid);
	who->tgid = READ(fast, task, struct task_struct, tgid);
	who->exec = (u32)READ(fast, task, struct task_struct, self_exec_id);
	who->start_ns = READ(fast, leader, struct task_struct, start_boottime);
}

/* The users it acts for at this moment: a daemon may have begun as root. Not `cred`, which a file system lends to it
 * (overlayfs opens the file below as whoever mounted it). Without CONFIG_AUDIT nobody logs in. */
static __always_inline void task__users(u64 task, const bool fast, struct identity *who)
{
	u64 cred = (u64)READ(fast, task, struct task_struct, real_cred);

	who->uid = READ(fast, cred, struct cred, euid.val);
	who->gid = READ(fast, cred, struct cred, egid.val);
	who->login_uid = ~0U;
	if (bpf_core_field_exists(struct task_struct, loginuid))
		who->login_uid = READ(fast, task, struct task_struct, loginuid.val);
}

static __always_inline void task__identity(u64 task, const bool fast, struct identity *who)
{
	task__instance(task, fast, who);
	task__users(task, fast, who);
}

static __always_inline void head__fill(struct ev_head *head, const struct identity *who, u64 cgroup_id, u16 type,
				       u8 family)
{
	head->time_ns = bpf_ktime_get_boot_ns();
	head->start_ns = who->start_ns;
	head->cgroup_id = cgroup_id;
	head->tgid = who->tgid;
	head->tid = who->tid;
	head->exec = who->exec;
	head->type = type;
	head->flags = 0;
	head->family = family;
	__builtin_memset(head->pad, 0, sizeof(head->pad));
	head->uid = who->uid;
	head->gid = who->gid;
	head->login_uid = who->login_uid;
}

/* Own processes: named by the loader, or children of the warden (an opener that was just started). */
static __always_inline bool task__is_own(u64 task, u32 tgid, const bool fast)
{
	u64 parent;
	int i;

	for (i = 0; i < KT_OWN_PROCESSES; i++) {
		if (control.own[i] && control.own[i] == tgid)
			return true;
	}
	if (!control.own[0])
		return false;
	parent = (u64)READ(fast, task, struct task_struct, real_parent);
	return (u32)READ(fast, parent, struct task_struct, tgid) == control.own[0];
}

/* Takes the heartbeat that the loader announced for this family. */
static __always_inline bool heartbeat__take(u32 tgid, u32 family)
{
	if (control.heartbeat_tgid != tgid || !control.heartbeat[family])
		return false;
	control.heartbeat[family] = 0;
	return true;
}

#endif
