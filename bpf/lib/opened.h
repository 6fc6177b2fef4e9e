/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one body over an open file: filter, own processes, repeats, path, event. */
#ifndef KEYTRAIL_BPF_OPENED_H
#define KEYTRAIL_BPF_OPENED_H

#include "emit.h"
#include "filter.h"
#include "path.h"

/*
 * Which object was read by whom, as one keyed 64-bit tag per slot: reading and writing one word needs no lock and costs
 * a tenth of an LRU map (measured: 200 ns an insert). Two that share a slot push each other out: then a repeat is sent
 * again, never lost. Keyed, so that nobody can choose a file and a process whose tag hides another's.
 */
#define OPENED_SLOTS 65536
kt_u64 opened_tags[OPENED_SLOTS] __weak;

struct open_key {
	u64 start_ns;
	u64 inode;
	/* Change times are as coarse as a tick where nobody asks for them: a rewrite inside one shows in the size. */
	u64 size;
	s64 ctime_s;
	u32 ctime_ns;
	u32 dev;
	u32 tgid;
	u32 exec;
};

static __always_inline u64 open_key__tag(const struct open_key *key)
{
	const u64 *words = (const u64 *)key;
	u64 tag = cfg_sip_key[0];
	u32 i;

#pragma unroll
	for (i = 0; i < sizeof(*key) / sizeof(u64); i++) {
		tag = (tag ^ words[i]) * 0x9E3779B97F4A7C15ULL;
		tag ^= tag >> 29;
	}
	tag = (tag ^ cfg_sip_key[1]) * 0xD6E8FEB86659FD93ULL;
	return tag ^ (tag >> 32);
}

#define CTIME_NS 0x7fffffffU

static __always_inline void inode__ctime(u64 inode, const bool fast, s64 *seconds, u32 *ns)
{
	if (bpf_core_field_exists(struct inode, i_ctime_sec)) {
		*seconds = READ(fast, inode, struct inode, i_ctime_sec);
		*ns = READ(fast, inode, struct inode, i_ctime_nsec);
	} else if (bpf_core_field_exists(struct inode___6_6, __i_ctime)) {
		*seconds = BPF_CORE_READ((struct inode___6_6 *)inode, __i_ctime.tv_sec);
		*ns = (u32)BPF_CORE_READ((struct inode___6_6 *)inode, __i_ctime.tv_nsec);
	} else {
		*seconds = BPF_CORE_READ((struct inode___old *)inode, i_ctime.tv_sec);
		*ns = (u32)BPF_CORE_READ((struct inode___old *)inode, i_ctime.tv_nsec);
	}
	/* 6.13 and newer: the top bit says that somebody asked for it (include/linux/fs.h, I_CTIME_QUERIED). */
	*ns &= CTIME_NS;
}

static __always_inline bool name__is_heartbeat(u32 len)
{
	return len == sizeof("memfd:" KT_HEARTBEAT_MEMFD) - 1;
}

/* A file passed the filter on its name. Returns the fate, not yet counted for what ends here; KT_C_SENT and losses are
 * counted by the sender. */
static __always_inline int open__report(struct counters *c, u64 file, u64 dentry, u32 name_len, u64 task, u16 flags,
					const u32 which, const bool fast)
{
	u64 inode, sb, magic, node, cgroup_id, nsproxy, mnt_ns;
	struct open_key key = {};
	struct identity who;
	struct scratch *s;
	struct ev_open *ev;
	u32 fate, len;
	u64 tag;

	task__identity(task, fast, &who);
	if (name__is_heartbeat(name_len) && heartbeat__take(who.tgid, KT_FAMILY_OPEN)) {
		struct ev_head head;

		cgroup_id = task__cgroup(task, fast, &node);
		head__fill(&head, &who, cgroup_id, KT_EV_HEARTBEAT, KT_FAMILY_OPEN);
		return hit__end(c, KT_FAMILY_OPEN, ring__send(&ring_high, &head, sizeof(head)));
	}
	if (task__is_own(task, who.tgid, fast))
		return hit__end(c, KT_FAMILY_OPEN, KT_C_FILTERED);
	inode = (u64)READ(fast, file, struct file, f_inode);
	sb = (u64)READ(fast, inode, struct inode, i_sb);
	magic = READ(fast, sb, struct super_block, s_magic);
	if ((READ(fast, inode, struct inode, i_mode) & MODE_TYPE) != MODE_REGULAR || !magic__known(magic))
		return hit__end(c, KT_FAMILY_OPEN, KT_C_FILTERED);

	key.start_ns = who.start_ns;
	key.tgid = who.tgid;
	key.exec = who.exec;
	key.inode = READ(fast, inode, struct inode, i_ino);
	key.size = READ(fast, inode, struct inode, i_size);
	key.dev = READ(fast, sb, struct super_block, s_dev);
	inode__ctime(inode, fast, &key.ctime_s, &key.ctime_ns);
	tag = open_key__tag(&key);
	if (opened_tags[tag & (OPENED_SLOTS - 1)] == tag)
		return hit__end(c, KT_FAMILY_OPEN, KT_C_REPEATED);

	s = scratch__get(which);
	if (!s)
		return hit__end(c, KT_FAMILY_OPEN, KT_C_LOST_SCRATCH);
	ev = (struct ev_open *)s->buf;
	cgroup_id = task__cgroup(task, fast, &node);
	head__fill(&ev->head, &who, cgroup_id, KT_EV_OPEN, KT_FAMILY_OPEN);
	ev->inode = key.inode;
	ev->fs_magic = magic;
	ev->size = key.size;
	ev->ctime_s = key.ctime_s;
	ev->ctime_ns = key.ctime_ns;
	ev->dev = key.dev;
	nsproxy = (u64)READ(fast, task, struct task_struct, nsproxy);
	mnt_ns = (u64)READ(fast, nsproxy, struct nsproxy, mnt_ns);
	ev->mnt_ns = READ(fast, mnt_ns, struct mnt_namespace, ns.inum);
	ev->open_flags = READ(fast, file, struct file, f_flags);
	len = path__walk(s, which, (u64)READ(fast, file, struct file, f_path.mnt), dentry, task, sizeof(*ev), fast);
	ev->path_len = len;
	__builtin_memset(ev->pad, 0, sizeof(ev->pad));
	ev->head.flags = flags | KT_F_LEAF_FIRST | (s->truncated ? KT_F_TRUNCATED : 0);
	fate = event__send(&ring_high, c, KT_FAMILY_OPEN, ev, sizeof(*ev) + (len & (2 * KT_PATH_MAX - 1)), cgroup_id,
			   node);
	if (fate == KT_C_SENT)
		opened_tags[tag & (OPENED_SLOTS - 1)] = tag;
	scratch__put(s);
	return 0;
}

static __always_inline int open__file(struct counters *c, u64 file, u64 task, u16 flags, const u32 which,
				      const bool fast)
{
	u64 dentry, parent;
	u32 len;

	if (!(READ(fast, file, struct file, f_mode) & FMODE_READ_BIT)) /* for writing, or O_PATH */
		return hit__end(c, KT_FAMILY_OPEN, KT_C_FILTERED);
	dentry = (u64)READ(fast, file, struct file, f_path.dentry);
	len = READ(fast, dentry, struct dentry, d_name.len);
	if (!name__of_interest((u64)READ(fast, dentry, struct dentry, d_name.name), len, fast)) {
		parent = (u64)READ(fast, dentry, struct dentry, d_parent);
		if (!directory__of_interest((u64)READ(fast, parent, struct dentry, d_name.name),
					    READ(fast, parent, struct dentry, d_name.len), fast))
			return hit__end(c, KT_FAMILY_OPEN, KT_C_FILTERED);
	}
	return open__report(c, file, dentry, len, task, flags, which, fast);
}

#endif
