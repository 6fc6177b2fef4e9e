/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is known of a process and its executable: the head of KT_EV_EXEC and KT_EV_TASK. */
#ifndef KEYTRAIL_BPF_PROCESS_H
#define KEYTRAIL_BPF_PROCESS_H

#include "path.h"

static __always_inline u32 namespace__pid(u64 task)
{
	struct pid *pid = BPF_CORE_READ((struct task_struct *)task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid upid = {};

	bpf_probe_read_kernel(
		&upid, sizeof(upid),
		(void *)((u64)pid + bpf_core_field_offset(struct pid, numbers) + (level & 63) * sizeof(upid)));
	return BPF_CORE_READ(upid.ns, ns.inum);
}

/* Everything of ev_exec but the strings; shared by exec and the sweep's KT_EV_TASK. */
static __always_inline void exec__fill(struct ev_exec *ev, u64 address, const struct identity *who, u64 cgroup_id,
				       u16 type, u8 family)
{
	struct task_struct *task = (void *)address;
	struct identity parent;

	__builtin_memset(ev, 0, sizeof(*ev));
	head__fill(&ev->head, who, cgroup_id, type, family);
	task__identity((u64)BPF_CORE_READ(task, real_parent), false, &parent);
	ev->parent_start_ns = parent.start_ns;
	ev->parent_tgid = parent.tgid;
	ev->parent_exec = parent.exec;
	ev->uid = BPF_CORE_READ(task, cred, euid.val);
	ev->gid = BPF_CORE_READ(task, cred, egid.val);
	ev->login_uid = bpf_core_field_exists(task->loginuid) ? BPF_CORE_READ(task, loginuid.val) : ~0U;
	ev->session_id = bpf_core_field_exists(task->sessionid) ? BPF_CORE_READ(task, sessionid) : ~0U;
	ev->mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	ev->net_ns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	ev->pid_ns = namespace__pid(address);
	BPF_CORE_READ_INTO(&ev->comm, task, comm);
}

/* The executable's path behind the header. */
static __always_inline void exec__exe(struct ev_exec *ev, struct scratch *s, u32 which, u64 task)
{
	struct file *exe = BPF_CORE_READ((struct task_struct *)task, mm, exe_file);

	if (!exe) {
		ev->head.flags |= KT_F_MISSING;
		return;
	}
	ev->exe_len = path__walk(s, which, (u64)BPF_CORE_READ(exe, f_path.mnt), (u64)BPF_CORE_READ(exe, f_path.dentry),
				 task, sizeof(*ev), false);
	ev->head.flags |= KT_F_LEAF_FIRST | (s->truncated ? KT_F_TRUNCATED : 0);
}

#endif
