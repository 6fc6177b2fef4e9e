/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A program starts: who, its executable, what was passed to execve (for `#!` the script), the variables and arguments
 * that the catalog names, the pipes that it has.
 */
#include "lib/arguments.h"
#include "lib/emit.h"
#include "lib/environment.h"
#include "lib/process.h"

#define ENV_MAX 2048
#define ARG_MAX 1024

/* Which flags are paths for this program. */
static __always_inline u32 exec__programs(struct scratch *s)
{
	u32 *program;

	__builtin_memset(&s->items.name, 0, sizeof(s->items.name));
	bpf_get_current_comm(s->items.name.text, 16);
	program = bpf_map_lookup_elem(&arg_programs, &s->items.name);
	return KT_ANY_PROGRAM | (program ? *program : 0);
}

static __always_inline void exec__items(struct ev_exec *ev, struct scratch *s, u64 task, const bool fast)
{
	u64 mm = (u64)READ(fast, task, struct task_struct, mm);
	u64 start = READ(fast, mm, struct mm_struct, arg_start), end = READ(fast, mm, struct mm_struct, arg_end);
	int i, r = STEP_DONE;

	s->items.pos = start;
	s->items.end = end;
	s->items.index = 0;
	s->items.fault = 0;
	s->items.flag_pending = 0;
	s->items.programs = exec__programs(s);
	s->items.script_next = 0;
	s->items.interpreter = script__interpreter(SCRATCH_EXEC);
	for (i = 0; i < ARG_MAX; i += STEPS_AT_ONCE) {
		r = arg__steps(SCRATCH_EXEC);
		if (r != STEP_MORE)
			break;
	}
	ev->argc = s->items.index;
	ev->args_truncated = s->items.fault || r != STEP_DONE;
	if (s->items.programs & KT_EXAMINED_PROGRAM)
		ev->args_kept = args__keep(s, &ev->head, start, end);

	s->items.pos = READ(fast, mm, struct mm_struct, env_start);
	s->items.end = READ(fast, mm, struct mm_struct, env_end);
	s->items.piece_len = 0;
	s->items.piece_at = 0;
	s->items.index = 0;
	s->items.fault = 0;
	for (i = 0; i < ENV_MAX; i += STEPS_AT_ONCE) {
		r = env__steps(SCRATCH_EXEC);
		if (r != STEP_MORE)
			break;
	}
	ev->envc = s->items.index;
	ev->env_truncated = s->items.fault || r != STEP_DONE;
}

static __always_inline int exec__report(struct linux_binprm *bprm, const bool fast)
{
	struct counters *c = hit__begin(KT_FAMILY_EXEC);
	u64 task = bpf_get_current_task(), node = 0, cgroup_id, starter;
	struct identity who;
	struct ev_exec *ev;
	struct scratch *s;
	u32 off, parent;
	long n;

	task__identity(task, fast, &who);
	starter = (u64)READ(fast, task, struct task_struct, real_parent);
	parent = READ(fast, starter, struct task_struct, tgid);
	cgroup_id = task__cgroup(task, fast, &node);
	if (parent == control.heartbeat_tgid && heartbeat__take(parent, KT_FAMILY_EXEC)) {
		struct ev_head head;

		head__fill(&head, &who, cgroup_id, KT_EV_HEARTBEAT, KT_FAMILY_EXEC);
		return hit__end(c, KT_FAMILY_EXEC, ring__send(&ring_high, &head, sizeof(head)));
	}
	if (task__is_own(task, who.tgid, fast))
		return hit__end(c, KT_FAMILY_EXEC, KT_C_FILTERED);
	s = scratch__get(SCRATCH_EXEC);
	if (!s)
		return hit__end(c, KT_FAMILY_EXEC, KT_C_LOST_SCRATCH);
	ev = (struct ev_exec *)s->buf;
	exec__fill(ev, task, &who, cgroup_id, KT_EV_EXEC, KT_FAMILY_EXEC, fast);
	exec__descriptors(ev, task, SCRATCH_EXEC, fast);
	exec__exe(ev, s, SCRATCH_EXEC, task, fast);
	off = sizeof(*ev) + ev->exe_len;
	n = bpf_probe_read_kernel_str(s->buf + (off & 4095), KT_PATH_MAX, bprm->filename);
	if (n > 0) {
		ev->filename_len = n - 1;
		if (n == KT_PATH_MAX)
			ev->head.flags |= KT_F_TRUNCATED;
	} else {
		ev->head.flags |= KT_F_MISSING;
	}
	off += ev->filename_len;
	/* padding: the items begin at a multiple of 8 */
	*(u64 *)(s->buf + (off & 4095)) = 0;
	off = (off + 7) & ~7U;
	s->items.next = off;
	s->limit = off + KT_ITEMS_MAX;
	exec__items(ev, s, task, fast);
	ev->items_len = s->items.next - off;
	event__send(&ring_high, c, KT_FAMILY_EXEC, ev, s->items.next & (SCRATCH_BYTES - 1), cgroup_id, node);
	scratch__put(s);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(tp_btf__sched_process_exec_fast, struct task_struct *unused, int old_pid, struct linux_binprm *bprm)
{
	return exec__report(bprm, true);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(tp_btf__sched_process_exec_slow, struct task_struct *unused, int old_pid, struct linux_binprm *bprm)
{
	return exec__report(bprm, false);
}
