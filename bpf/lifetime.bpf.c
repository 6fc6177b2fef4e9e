/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Processes begin and end; and the sweep: every task, open key file and client connection that is older than the agent
 * (iterators), and samples of connections kept open.
 */
#include "lib/emit.h"
#include "lib/socket.h"
#include "lib/process.h"
#include "lib/opened.h"

static __always_inline int fork__report(struct task_struct *child, const bool fast)
{
	struct counters *c = hit__begin(KT_FAMILY_LIFETIME);
	u64 task, node = 0, cgroup_id;
	struct ev_fork ev = {};
	struct identity who;

	if (child->pid != child->tgid) /* a thread */
		return hit__end(c, KT_FAMILY_LIFETIME, KT_C_FILTERED);
	task = bpf_get_current_task();
	task__identity(task, fast, &who);
	cgroup_id = task__cgroup(task, fast, &node);
	if (heartbeat__take(who.tgid, KT_FAMILY_LIFETIME)) {
		struct ev_head head;

		control.heartbeat_child = child->tgid;
		head__fill(&head, &who, cgroup_id, KT_EV_HEARTBEAT, KT_FAMILY_LIFETIME);
		return hit__end(c, KT_FAMILY_LIFETIME, ring__send(&ring_low, &head, sizeof(head)));
	}
	if (task__is_own(task, who.tgid, fast))
		return hit__end(c, KT_FAMILY_LIFETIME, KT_C_FILTERED);
	head__fill(&ev.head, &who, cgroup_id, KT_EV_FORK, KT_FAMILY_LIFETIME);
	ev.child_tgid = child->tgid;
	ev.child_start_ns = child->start_boottime;
	ev.child_exec = (u32)child->self_exec_id;
	event__send(&ring_low, c, KT_FAMILY_LIFETIME, &ev, sizeof(ev), cgroup_id, node);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(tp_btf__sched_process_fork_fast, struct task_struct *unused, struct task_struct *child)
{
	return fork__report(child, true);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(tp_btf__sched_process_fork_slow, struct task_struct *unused, struct task_struct *child)
{
	return fork__report(child, false);
}

/* Processes with threads whose end was seen: two last threads that end at once both find nobody alive. */
struct process_key {
	u64 start_ns;
	u64 tgid;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct process_key);
	__type(value, u8);
} ended __weak SEC(".maps");

/* Threads, those that ended a moment ago, or the running time of others that did: only then another may have told this
 * process's end. */
static __always_inline bool process__had_threads(struct signal_struct *signal)
{
	return signal->nr_threads != 1 || signal->sigcnt.refs.counter != 1 || signal->sum_sched_runtime;
}

static __always_inline bool process__ended_before(const struct identity *who)
{
	struct process_key key = {.start_ns = who->start_ns, .tgid = who->tgid};
	u8 one = 1;

	/* EEXIST; below 6.4 only the low half of the answer means something */
	return (int)bpf_map_update_elem(&ended, &key, &one, BPF_NOEXIST) == -17;
}

static __always_inline int exit__report(struct task_struct *ending, const bool fast)
{
	struct counters *c = hit__begin(KT_FAMILY_LIFETIME);
	struct signal_struct *signal = ending->signal;
	u64 task, node = 0, cgroup_id;
	struct ev_exit ev = {};
	struct identity who;

	if (signal->live.counter) /* other threads go on */
		return hit__end(c, KT_FAMILY_LIFETIME, KT_C_FILTERED);
	task = bpf_get_current_task();
	task__instance(task, fast, &who);
	if (who.tgid == control.heartbeat_child) {
		control.heartbeat_child = 0;
		return hit__end(c, KT_FAMILY_LIFETIME, KT_C_FILTERED);
	}
	if (task__is_own(task, who.tgid, fast))
		return hit__end(c, KT_FAMILY_LIFETIME, KT_C_FILTERED);
	if (process__had_threads(signal) && process__ended_before(&who))
		return hit__end(c, KT_FAMILY_LIFETIME, KT_C_REPEATED);
	task__users(task, fast, &who);
	cgroup_id = task__cgroup(task, fast, &node);
	head__fill(&ev.head, &who, cgroup_id, KT_EV_EXIT, KT_FAMILY_LIFETIME);
	ev.code = signal->group_exit_code;
	if (!ev.code)
		ev.code = ending->exit_code;
	event__send(&ring_low, c, KT_FAMILY_LIFETIME, &ev, sizeof(ev), cgroup_id, node);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(tp_btf__sched_process_exit_fast, struct task_struct *ending)
{
	return exit__report(ending, true);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(tp_btf__sched_process_exit_slow, struct task_struct *ending)
{
	return exit__report(ending, false);
}

/* The cgroup of a swept task, announced when new. */
static __always_inline u64 sweep__cgroup(u64 task, u64 *node)
{
	u64 id = task__cgroup(task, false, node);

	cgroup__admit(NULL, id, *node);
	return id;
}

SEC("iter/task")
int iter__task(struct bpf_iter__task *ctx)
{
	u64 task = (u64)ctx->task, node = 0, cgroup_id;
	struct counters *c;
	struct identity who;
	struct ev_exec *ev;
	struct scratch *s;
	bool kernels;

	if (!task)
		return 0;
	c = hit__begin(KT_FAMILY_LIFETIME);
	task__identity(task, false, &who);
	/* of the kernel's own only the first: it shows the machine's first mount namespace */
	kernels = who.tgid != KTHREADD && (BPF_CORE_READ((struct task_struct *)task, flags) & PF_KTHREAD);
	if (who.tid != who.tgid || kernels || task__is_own(task, who.tgid, false))
		return hit__end(c, KT_FAMILY_LIFETIME, KT_C_FILTERED);
	s = scratch__get(SCRATCH_SWEEP);
	if (!s)
		return hit__end(c, KT_FAMILY_LIFETIME, KT_C_LOST_SCRATCH);
	cgroup_id = sweep__cgroup(task, &node);
	ev = (struct ev_exec *)s->buf;
	exec__fill(ev, task, &who, cgroup_id, KT_EV_TASK, KT_FAMILY_LIFETIME, false);
	ev->head.flags = KT_F_BASELINE;
	exec__exe(ev, s, SCRATCH_SWEEP, task, false);
	hit__end(c, KT_FAMILY_LIFETIME, ring__send(&ring_low, ev, sizeof(*ev) + (ev->exe_len & (2 * KT_PATH_MAX - 1))));
	scratch__put(s);
	return 0;
}

/* Ports on which this network namespace listens: a socket with such a local port was accepted, it is no client's. */
struct listener {
	u32 net_ns;
	u32 port;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct listener);
	__type(value, u32);
} listeners __weak SEC(".maps");

static __always_inline u32 sock__net_ns(u64 sk)
{
	return BPF_CORE_READ((struct sock *)sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline void sweep__baseline_socket(struct sock *sk, u64 task)
{
	struct counters *c = hit__begin(KT_FAMILY_CONNECT);
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	struct listener local = {};
	struct socket_state *state;
	struct ev_connect ev = {};
	struct identity who;
	u64 node = 0;
	u32 words[4];

	local.net_ns = sock__net_ns((u64)sk);
	local.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	task__identity(task, false, &who);
	if (bpf_map_lookup_elem(&listeners, &local) || task__is_own(task, who.tgid, false)) {
		hit__end(c, KT_FAMILY_CONNECT, KT_C_FILTERED);
		return;
	}
	head__fill(&ev.head, &who, sweep__cgroup(task, &node), KT_EV_CONNECT, KT_FAMILY_CONNECT);
	ev.head.flags = KT_F_BASELINE;
	ev.cookie = bpf_get_socket_cookie(sk);
	ev.port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	ev.net_ns = local.net_ns;
	if (family == AF_INET_FAMILY) {
		*(u32 *)ev.address = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO(&words, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32);
		if (!words[0] && !words[1] && words[2] == bpf_htonl(0xffff)) {
			*(u32 *)ev.address = words[3];
		} else {
			ev.v6 = 1;
			__builtin_memcpy(ev.address, words, 16);
		}
	}
	state = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (state && !state->cookie) {
		state->owner = who;
		state->cgroup_id = ev.head.cgroup_id;
		state->cookie = ev.cookie;
		state->phase = SOCKET_OPEN;
		state->payload_seen = 1; /* before our time; its next payload would be taken for the first */
	}
	hit__end(c, KT_FAMILY_CONNECT, ring__send(&ring_high, &ev, sizeof(ev)));
}

static __always_inline void sweep__sample_socket(struct sock *sk)
{
	struct counters *c = hit__begin(KT_FAMILY_CONNECT);
	struct socket_state *state = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	u64 per_second = control.jiffies_per_second;
	struct ev_socket ev = {};
	u32 idle;

	if (!state || !(state->payload_seen || state->looked) ||
	    (state->phase != SOCKET_OPEN && state->phase != SOCKET_CONNECTING) ||
	    state->generation == control.sweep_generation) {
		hit__end(c, KT_FAMILY_CONNECT, KT_C_FILTERED);
		return;
	}
	state->generation = control.sweep_generation;
	head__fill(&ev.head, &state->owner, state->cgroup_id, KT_EV_SOCKET, KT_FAMILY_CONNECT);
	ev.cookie = state->cookie;
	ev.state = KT_SOCKET_SAMPLE;
	socket__bytes(sk, BPF_CORE_READ(sk, __sk_common.skc_flags), &ev.bytes_sent, &ev.bytes_received);
	idle = (u32)bpf_jiffies64() - BPF_CORE_READ((struct tcp_sock *)sk, lsndtime);
	ev.idle_ms = per_second ? (u32)((u64)idle * 1000 / per_second) : 0;
	hit__end(c, KT_FAMILY_CONNECT, ring__send(&ring_low, &ev, sizeof(ev)));
}

static __always_inline void sweep__done(void)
{
	struct counters *c = hit__begin(KT_FAMILY_LIFETIME);
	struct identity nobody = {};
	struct ev_head head;

	head__fill(&head, &nobody, 0, KT_EV_BASELINE_DONE, KT_FAMILY_LIFETIME);
	head.flags = KT_F_BASELINE;
	hit__end(c, KT_FAMILY_LIFETIME, ring__send(&ring_low, &head, sizeof(head)));
}

static __always_inline void sweep__note_listener(struct sock *sk)
{
	struct listener local = {};

	local.net_ns = sock__net_ns((u64)sk);
	local.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	bpf_map_update_elem(&listeners, &local, &local.port, BPF_ANY);
}

SEC("iter/task_file")
int iter__task_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;
	u32 state, mode = control.sweep_mode;
	u16 family;

	if (!task || !file) { /* the end of the run */
		control.jiffies = bpf_jiffies64();
		control.jiffies_at_ns = bpf_ktime_get_boot_ns();
		if (mode == KT_SWEEP_BASELINE)
			sweep__done();
		return 0;
	}
	socket = bpf_sock_from_file(file);
	if (!socket) {
		if (mode == KT_SWEEP_BASELINE && BPF_CORE_READ(task, pid) == BPF_CORE_READ(task, tgid))
			open__file(hit__begin(KT_FAMILY_OPEN), (u64)file, (u64)task, KT_F_BASELINE, SCRATCH_SWEEP,
				   false);
		return 0;
	}
	sk = socket->sk;
	if (!sk)
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if ((family != AF_INET_FAMILY && family != AF_INET6_FAMILY) || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (mode == KT_SWEEP_LISTENERS) {
		if (state == TCP_STATE_LISTEN)
			sweep__note_listener(sk);
	} else if (state == TCP_STATE_ESTABLISHED) {
		if (mode == KT_SWEEP_SAMPLE)
			sweep__sample_socket(sk);
		else if (BPF_CORE_READ(task, pid) == BPF_CORE_READ(task, tgid))
			sweep__baseline_socket(sk, (u64)task);
	}
	return 0;
}
