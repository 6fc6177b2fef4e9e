/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one body over an open file: filter, own processes, repeats, path, event. */
#ifndef KEYTRAIL_BPF_OPENED_H
#define KEYTRAIL_BPF_OPENED_H

#include "emit.h"
#include "filter.h"
#include "path.h"
#include "shape.h"

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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KT_REPORTED_SETS);
	__type(key, u32);
	__type(value, struct kt_reported);
} reported __weak SEC(".maps");

/* Its event goes out: the warden may open the file. Of two that meet in a set one may be forgotten. */
static __always_inline void open__note_reported(const struct open_key *key, u64 fs_magic)
{
	struct kt_opened of = {.start_ns = key->start_ns,
			       .inode = key->inode,
			       .size = key->size,
			       .ctime_s = key->ctime_s,
			       .ctime_ns = key->ctime_ns,
			       .dev = key->dev,
			       .tgid = key->tgid,
			       .fs_magic = (u32)fs_magic};
	u64 tag = kt_opened_tag(&of, cfg_sip_key[0], cfg_sip_key[1]), at;
	u32 set = tag & (KT_REPORTED_SETS - 1);
	struct kt_reported *known = bpf_map_lookup_elem(&reported, &set);

	if (!known)
		return;
	at = known->next;
	known->next = at + 1;
	known->tags[at & (KT_REPORTED_WAYS - 1)] = tag;
}

/*
 * A file that changes again and again under one reader is a first sight so often in a window (2^30 ns), the rest are
 * repeats: else whoever lets a file grow and reads it spends the budget of all that is in its cgroup. One word a slot:
 * 40 bits of a keyed tag of process and file, 16 of the window, 8 of the count. As above, two that share a slot push
 * each other out: then more is sent.
 */
#define CHANGED_SLOTS 16384
#define CHANGES_MAX 8
#define CHANGED_TAG (~0ULL << 24)
kt_u64 changed_tags[CHANGED_SLOTS] __weak;

static __always_inline bool change__admit(const struct open_key *key)
{
	u64 tag = kt_mix(key->start_ns ^ ((u64)key->tgid << 32 | key->exec), key->inode ^ cfg_sip_key[0], 0, key->dev);
	u64 fresh = (tag & CHANGED_TAG) | ((bpf_ktime_get_boot_ns() >> 30) & 0xffff) << 8;
	u32 slot = tag & (CHANGED_SLOTS - 1);
	u64 known = changed_tags[slot];

	if ((known & ~0xffULL) != fresh)
		known = fresh;
	if ((known & 0xff) >= CHANGES_MAX)
		return false;
	changed_tags[slot] = known + 1;
	return true;
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

/* Is one more file that only its shape makes a candidate within its cgroup's budget? */
static __always_inline bool shaped__admit(u64 cgroup_id)
{
	struct cgroup_state *state = bpf_map_lookup_elem(&cgroups_seen, &cgroup_id);
	u32 second = (u32)(bpf_ktime_get_boot_ns() >> 30);

	if (!state) /* its first event makes it */
		return true;
	if (state->shaped_second != second) {
		state->shaped_second = second;
		state->shaped = 0;
	}
	__sync_fetch_and_add(&state->shaped, 1);
	return state->shaped <= KT_SHAPE_BUDGET;
}

/* What only its shape makes a candidate is over the budget: one event a process says so, without a file. */
static __always_inline int open__over_budget(struct counters *c, const struct identity *who, u64 cgroup_id, u64 node,
					     const u32 which)
{
	struct open_key key = {.start_ns = who->start_ns, .tgid = who->tgid, .exec = who->exec};
	u64 tag = open_key__tag(&key);
	struct scratch *s;
	struct ev_open *ev;

	if (opened_tags[tag & (OPENED_SLOTS - 1)] == tag)
		return hit__end(c, KT_FAMILY_OPEN, KT_C_REPEATED);
	s = scratch__get(which); /* the stack is full: it comes with those of recvmsg */
	if (!s)
		return hit__end(c, KT_FAMILY_OPEN, KT_C_LOST_SCRATCH);
	ev = (struct ev_open *)s->buf;
	__builtin_memset(ev, 0, sizeof(*ev));
	head__fill(&ev->head, who, cgroup_id, KT_EV_OPEN, KT_FAMILY_OPEN);
	ev->signs = KT_OPEN_OVER_BUDGET;
	if (event__send(&ring_high, c, KT_FAMILY_OPEN, ev, sizeof(*ev), cgroup_id, node) == KT_C_SENT)
		opened_tags[tag & (OPENED_SLOTS - 1)] = tag;
	scratch__put(s);
	return 0;
}

#define MAGIC_PROC 0x9fa0
#define NAME_ENVIRON 0x6e6f7269766e65ULL /* "environ", as a word in memory */
#define NAME_MEM 0x6d656dULL

/* Is it called as what /proc shows of a process, its environment or its memory? Else -1. */
static __always_inline int peek__what(u64 name, u32 len, const bool fast)
{
	u64 word;

	if (len != 7 && len != 3)
		return -1;
	word = bytes__low(word__read(name, fast), len);
	if (len == 7)
		return word == NAME_ENVIRON ? KT_PEEK_ENVIRONMENT : -1;
	return word == NAME_MEM ? KT_PEEK_MEMORY : -1;
}

/* The task of a struct pid; 0: it has ended. */
static __always_inline u64 pid__task(u64 pid)
{
	u64 link = (u64)BPF_CORE_READ((struct pid *)pid, tasks[0].first);

	return link ? link - bpf_core_field_offset(struct task_struct, pid_links) : 0;
}

/* The first task of the process, or the thread, whose folder in /proc this inode lies in; 0: none lives. */
static __always_inline u64 proc__task(u64 inode)
{
	struct proc_inode *of = (void *)(inode - bpf_core_field_offset(struct proc_inode, vfs_inode));

	return pid__task((u64)BPF_CORE_READ(of, pid));
}

/* Whose process a task is of, into the event in the scratch, which the caller has taken; 0: nobody's. */
__weak __noinline int peek__of_task(u64 task, u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	struct identity of;
	struct ev_peek *ev;

	if (!s || !task)
		return 0;
	task__instance(task, false, &of);
	ev = (struct ev_peek *)s->buf;
	ev->start_ns = of.start_ns;
	ev->tgid = of.tgid;
	ev->exec = of.exec;
	return 1;
}

/* The same of the process that an inode of /proc is of. */
__weak __noinline int peek__of(u64 inode, u32 which)
{
	return peek__of_task(proc__task(inode), which);
}

/* Another process's environment or memory was opened, or its memory read by a call (`is_task`: `of` is a task of it).
 * One's own says nothing new. `of`: a plain number, as a function of its own takes no pointer that the verifier
 * knows. */
static __always_inline int peek__report(struct counters *c, u64 of, const bool is_task, u64 task, u32 what,
					const u32 which, const bool fast)
{
	struct scratch *s = scratch__get(which);
	struct identity who;
	struct ev_peek *ev;
	u64 node, tag;

	if (!s)
		return hit__end(c, KT_FAMILY_OPEN, KT_C_LOST_SCRATCH);
	ev = (struct ev_peek *)s->buf;
	task__identity(task, fast, &who);
	if (!(is_task ? peek__of_task(of, which) : peek__of(of, which)) || ev->tgid == who.tgid ||
	    task__is_own(task, who.tgid, fast)) {
		scratch__put(s);
		return hit__end(c, KT_FAMILY_OPEN, KT_C_FILTERED);
	}
	ev->what = what;
	ev->pad = 0;
	tag = kt_mix(who.start_ns + who.exec, ev->start_ns + ev->exec, ev->tgid, what + 1);
	if (opened_tags[tag & (OPENED_SLOTS - 1)] == tag) {
		hit__end(c, KT_FAMILY_OPEN, KT_C_REPEATED);
	} else {
		head__fill(&ev->head, &who, task__cgroup(task, fast, &node), KT_EV_PEEK, KT_FAMILY_OPEN);
		if (event__send(&ring_high, c, KT_FAMILY_OPEN, ev, sizeof(*ev), ev->head.cgroup_id, node) == KT_C_SENT)
			opened_tags[tag & (OPENED_SLOTS - 1)] = tag;
	}
	scratch__put(s);
	return 0;
}

/*
 * A file passed the filter on its name, or else on its shape. Returns the fate, not yet counted for what ends here;
 * KT_C_SENT and losses are counted by the sender.
 */
static __always_inline int open__report(struct counters *c, u64 file, u64 dentry, u32 name_len, u64 task, u16 flags,
					bool named, const u32 which, const bool fast)
{
	u64 inode, sb, magic, node, cgroup_id, nsproxy, mnt_ns;
	struct open_key key = {};
	struct identity who;
	struct scratch *s;
	struct ev_open *ev;
	u32 fate, len, type;
	bool shaped, pipe;
	u64 tag;

	task__instance(task, fast, &who);
	if (name__is_heartbeat(name_len) && heartbeat__take(who.tgid, KT_FAMILY_OPEN)) {
		struct ev_head head;

		task__users(task, fast, &who);
		cgroup_id = task__cgroup(task, fast, &node);
		head__fill(&head, &who, cgroup_id, KT_EV_HEARTBEAT, KT_FAMILY_OPEN);
		return hit__end(c, KT_FAMILY_OPEN, ring__send(&ring_high, &head, sizeof(head)));
	}
	if (task__is_own(task, who.tgid, fast))
		return hit__end(c, KT_FAMILY_OPEN, KT_C_FILTERED);
	inode = (u64)READ(fast, file, struct file, f_inode);
	sb = (u64)READ(fast, inode, struct inode, i_sb);
	magic = READ(fast, sb, struct super_block, s_magic);
	type = READ(fast, inode, struct inode, i_mode) & MODE_TYPE;
	pipe = type == MODE_PIPE; /* a named one: those without a name are in no file system that is known */
	if ((type != MODE_REGULAR && !pipe) || !magic__known(magic))
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

	shaped = inode__is_secret_shaped(inode, fast) && !made__by_own(inode, task, fast);
	if (!named && !shaped && !pipe)
		return hit__end(c, KT_FAMILY_OPEN, KT_C_FILTERED);
	if (!change__admit(&key))
		return hit__end(c, KT_FAMILY_OPEN, KT_C_REPEATED);
	task__users(task, fast, &who);
	cgroup_id = task__cgroup(task, fast, &node);
	if (!named && !pipe && !shaped__admit(cgroup_id))
		return open__over_budget(c, &who, cgroup_id, node, which);
	s = scratch__get(which);
	if (!s)
		return hit__end(c, KT_FAMILY_OPEN, KT_C_LOST_SCRATCH);
	ev = (struct ev_open *)s->buf;
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
	ev->signs = shaped ? KT_OPEN_SHAPED : 0;
	if (pipe)
		ev->signs = KT_OPEN_PIPE;
	if (s->walk.place_ns == MOUNT_DETACHED)
		ev->signs |= KT_OPEN_DETACHED;
	ev->place_ns = s->walk.place_ns > MOUNT_INTERNAL && s->walk.place_ns != ev->mnt_ns ? s->walk.place_ns : 0;
	ev->head.flags = flags | KT_F_LEAF_FIRST | (s->truncated ? KT_F_TRUNCATED : 0);
	fate = KT_C_LOST_BUDGET;
	if (cgroup__admit(&ev->head, cgroup_id, node)) {
		open__note_reported(&key, ev->fs_magic); /* before the event: its reader may ask at once */
		fate = ring__send(&ring_high, ev, sizeof(*ev) + (len & (2 * KT_PATH_MAX - 1)));
	} else {
		cgroup__lost(cgroup_id, KT_FAMILY_OPEN);
	}
	if (fate == KT_C_SENT)
		opened_tags[tag & (OPENED_SLOTS - 1)] = tag;
	hit__end(c, KT_FAMILY_OPEN, fate);
	scratch__put(s);
	return 0;
}

static __always_inline bool dentry__of_interest(u64 dentry, u64 mnt, const bool fast)
{
	return name__of_interest(dentry, mnt, (u64)READ(fast, dentry, struct dentry, d_name.name),
				 READ(fast, dentry, struct dentry, d_name.len), fast);
}

static __always_inline bool dentry__is_directory_of_interest(u64 dentry, const bool fast)
{
	return directory__of_interest((u64)READ(fast, dentry, struct dentry, d_name.name),
				      READ(fast, dentry, struct dentry, d_name.len), fast);
}

#define MOUNTS_IN_ONE_PLACE 3

/* A file, or the directory that it lies in, that is mounted somewhere (bind mounts, subPath, secrets of compose) has
 * the name of that place. */
static __always_inline bool mounted__of_interest(u64 mnt, u64 dentry, u64 parent, const bool fast)
{
	u64 root = (u64)READ(fast, mnt, struct vfsmount, mnt_root), place = 0, above, up = 0;
	int i;

	if (root != dentry && root != parent)
		return false;
	/* what is mounted over another mount is named by where that one is */
#pragma unroll
	for (i = 0; i < MOUNTS_IN_ONE_PLACE; i++) {
		mnt -= bpf_core_field_offset(struct mount, mnt);
		place = (u64)READ(fast, mnt, struct mount, mnt_mountpoint);
		up = (u64)READ(fast, mnt, struct mount, mnt_parent) + bpf_core_field_offset(struct mount, mnt);
		mnt = up;
		if (place != (u64)READ(fast, up, struct vfsmount, mnt_root))
			break;
	}
	if (!place)
		return false;
	if (root == parent)
		return dentry__is_directory_of_interest(place, fast);
	above = (u64)READ(fast, place, struct dentry, d_parent);
	return dentry__of_interest(place, up, fast) || dentry__is_directory_of_interest(above, fast);
}

static __always_inline int open__file(struct counters *c, u64 file, u64 task, u16 flags, const u32 which,
				      const bool fast)
{
	u32 mode = READ(fast, file, struct file, f_mode), len;
	u64 dentry, mnt, parent, inode;
	bool named;
	int what;

	if (!(mode & FMODE_READ_BIT)) /* for writing, or O_PATH */
		return hit__end(c, KT_FAMILY_OPEN, KT_C_FILTERED);
	dentry = (u64)READ(fast, file, struct file, f_path.dentry);
	mnt = (u64)READ(fast, file, struct file, f_path.mnt);
	inode = (u64)READ(fast, file, struct file, f_inode);
	if ((mode & FMODE_MADE) == FMODE_MADE)
		made__note(inode, task, fast);
	len = READ(fast, dentry, struct dentry, d_name.len);
	what = peek__what((u64)READ(fast, dentry, struct dentry, d_name.name), len, fast);
	if (what >= 0 && !(flags & KT_F_BASELINE) &&
	    BPF_CORE_READ((struct file *)file, f_inode, i_sb, s_magic) == MAGIC_PROC)
		return peek__report(c, (u64)BPF_CORE_READ((struct file *)file, f_inode), false, task, what, which,
				    fast);
	named = name__of_interest(dentry, mnt, (u64)READ(fast, dentry, struct dentry, d_name.name), len, fast);
	if (!named) {
		parent = (u64)READ(fast, dentry, struct dentry, d_parent);
		named = dentry__is_directory_of_interest(parent, fast) ||
			mounted__of_interest(mnt, dentry, parent, fast) || file__is_found(inode, fast);
		/* Keys are read, a database opens its own files for writing too; what a process had open before the
		 * agent came is looked through by name alone. What comes out of a named pipe somebody has written. */
		if (!named &&
		    ((mode & FMODE_WRITE_BIT) || (flags & KT_F_BASELINE) || !inode__is_secret_shaped(inode, fast)) &&
		    ((flags & KT_F_BASELINE) || !inode__is_pipe(inode, fast)))
			return hit__end(c, KT_FAMILY_OPEN, KT_C_FILTERED);
	}
	return open__report(c, file, dentry, len, task, flags, named, which, fast);
}

#endif
