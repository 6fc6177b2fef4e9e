/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections of clients: where to (cgroup/connect4 and 6), what became of them (at their end, with errno and byte
 * counts, joined by socket cookie), and Unix sockets. Socket state is kept in socket storage, so nothing is evicted.
 */
#include "lib/emit.h"
#include "lib/socket.h"

/* Programs at these hooks could refuse a connection. Ours only look: every way out returns 1, which lets it through. */
static __always_inline int connect__report(struct counters *c, struct bpf_sock_addr *ctx, const u32 words[4], bool v6,
					   bool udp, const bool fast)
{
	u64 task = bpf_get_current_task(), node = 0, cgroup_id, spaces, space;
	struct socket_state *state;
	struct ev_connect ev = {};
	struct identity who;

	task__identity(task, fast, &who);
	cgroup_id = task__cgroup(task, fast, &node);
	if (heartbeat__take(who.tgid, KT_FAMILY_CONNECT)) {
		struct ev_head head;

		head__fill(&head, &who, cgroup_id, KT_EV_HEARTBEAT, KT_FAMILY_CONNECT);
		hit__end(c, KT_FAMILY_CONNECT, ring__send(&ring_high, &head, sizeof(head)));
		return 1;
	}
	if (task__is_own(task, who.tgid, fast)) {
		hit__end(c, KT_FAMILY_CONNECT, KT_C_FILTERED);
		return 1;
	}
	head__fill(&ev.head, &who, cgroup_id, KT_EV_CONNECT, KT_FAMILY_CONNECT);
	ev.cookie = bpf_get_socket_cookie(ctx);
	ev.port = bpf_ntohs((u16)ctx->user_port);
	ev.udp = udp;
	/* v4-mapped IPv6 is given as IPv4 */
	if (v6 && !words[0] && !words[1] && words[2] == bpf_htonl(0xffff)) {
		((u32 *)ev.address)[0] = words[3];
	} else {
		ev.v6 = v6;
		__builtin_memcpy(ev.address, words, v6 ? 16 : 4);
	}
	spaces = (u64)READ(fast, task, struct task_struct, nsproxy);
	space = (u64)READ(fast, spaces, struct nsproxy, net_ns);
	ev.net_ns = READ(fast, space, struct net, ns.inum);
	if ((!udp || ev.port != DNS_PORT) && ctx->sk) {
		state = bpf_sk_storage_get(&sockets, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		if (state) {
			/* a socket may connect again, or send to another place */
			__builtin_memset(state, 0, sizeof(*state));
			state->owner = who;
			state->cgroup_id = cgroup_id;
			state->cookie = ev.cookie;
			state->phase = SOCKET_CONNECTING;
		}
	}
	event__send(&ring_high, c, KT_FAMILY_CONNECT, &ev, sizeof(ev), cgroup_id, node);
	return 1;
}

/* TCP and UDP. getaddrinfo connects UDP sockets to every candidate address only to sort them: a call is what sends. */
static __always_inline bool connect__wanted(struct bpf_sock_addr *ctx, bool *udp)
{
	u16 port = bpf_ntohs((u16)ctx->user_port);

	*udp = ctx->protocol == IPPROTO_UDP;
	if (control.heartbeat[KT_FAMILY_CONNECT] && control.heartbeat_tgid == (u32)(bpf_get_current_pid_tgid() >> 32))
		return true;
	return ctx->protocol == IPPROTO_TCP || (*udp && port);
}

static __always_inline int connect4__report(struct bpf_sock_addr *ctx, const bool fast)
{
	struct counters *c = hit__begin(KT_FAMILY_CONNECT);
	u32 words[4] = {ctx->user_ip4};
	bool udp;

	if (!connect__wanted(ctx, &udp)) {
		hit__end(c, KT_FAMILY_CONNECT, KT_C_FILTERED);
		return 1;
	}
	return connect__report(c, ctx, words, false, udp, fast);
}

static __always_inline int connect6__report(struct bpf_sock_addr *ctx, const bool fast)
{
	struct counters *c = hit__begin(KT_FAMILY_CONNECT);
	u32 words[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
	bool udp;

	if (!connect__wanted(ctx, &udp)) {
		hit__end(c, KT_FAMILY_CONNECT, KT_C_FILTERED);
		return 1;
	}
	return connect__report(c, ctx, words, true, udp, fast);
}

/* Twins of a hook: see README, two ways to read kernel memory. */
#define ADDRESS_HOOK(call, body)                                                                                       \
	SEC("cgroup/" #call) int cgroup__##call##_fast(struct bpf_sock_addr *ctx)                                      \
	{                                                                                                              \
		return body(ctx, true);                                                                                \
	}                                                                                                              \
	SEC("cgroup/" #call) int cgroup__##call##_slow(struct bpf_sock_addr *ctx)                                      \
	{                                                                                                              \
		return body(ctx, false);                                                                               \
	}

ADDRESS_HOOK(connect4, connect4__report)
ADDRESS_HOOK(connect6, connect6__report)

/* UDP without connect: one event per socket and destination; the rest are repeats. What a server answers is no call. */
struct sent_key {
	u64 cookie;
	u32 words[4];
	u32 port;
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct sent_key);
	__type(value, u8);
} sent_to __weak SEC(".maps");

static __always_inline int sendmsg__report(struct bpf_sock_addr *ctx, const u32 words[4], bool v6, const bool fast)
{
	struct counters *c = hit__begin(KT_FAMILY_CONNECT);
	struct bpf_sock *sk = ctx->sk;
	struct sent_key key = {};
	struct socket_state *state;
	u8 one = 1;
	bool udp;

	if (ctx->protocol != IPPROTO_UDP || !connect__wanted(ctx, &udp)) {
		hit__end(c, KT_FAMILY_CONNECT, KT_C_FILTERED);
		return 1;
	}
	if (sk) {
		state = bpf_sk_storage_get(&sockets, sk, NULL, 0);
		if (state && state->phase == SOCKET_ANSWERS) {
			hit__end(c, KT_FAMILY_CONNECT, KT_C_FILTERED);
			return 1;
		}
	}
	key.cookie = bpf_get_socket_cookie(ctx);
	__builtin_memcpy(key.words, words, sizeof(key.words));
	key.port = ctx->user_port;
	if (bpf_map_lookup_elem(&sent_to, &key)) {
		hit__end(c, KT_FAMILY_CONNECT, KT_C_REPEATED);
		return 1;
	}
	bpf_map_update_elem(&sent_to, &key, &one, BPF_ANY);
	return connect__report(c, ctx, words, v6, true, fast);
}

static __always_inline int sendmsg4__report(struct bpf_sock_addr *ctx, const bool fast)
{
	u32 words[4] = {ctx->user_ip4};

	return sendmsg__report(ctx, words, false, fast);
}

static __always_inline int sendmsg6__report(struct bpf_sock_addr *ctx, const bool fast)
{
	u32 words[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};

	return sendmsg__report(ctx, words, true, fast);
}

ADDRESS_HOOK(sendmsg4, sendmsg4__report)
ADDRESS_HOOK(sendmsg6, sendmsg6__report)

/* States out of which a connection that was made is closed. */
#define STATES_MADE                                                                                                    \
	(1U << TCP_STATE_ESTABLISHED | 1U << TCP_STATE_FIN_WAIT1 | 1U << TCP_STATE_FIN_WAIT2 |                         \
	 1U << TCP_STATE_TIME_WAIT | 1U << TCP_STATE_CLOSE_WAIT | 1U << TCP_STATE_LAST_ACK | 1U << TCP_STATE_CLOSING)

/*
 * What became of a client's TCP socket, told once, at its end: the state that it leaves says whether it was made. Runs
 * in any task's context: only the socket's own storage says whose it is. Every other change of state is no run: it ends
 * before anything is looked up or counted.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tp_btf__inet_sock_set_state, struct sock *sk, int old_state, int new_state)
{
	struct socket_state *state;
	struct ev_socket ev = {};
	struct counters *c;
	bool made;

	if (new_state != TCP_STATE_CLOSE || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	state = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	if (!state || state->phase == SOCKET_OVER) /* a server's, or none that was connected */
		return 0;
	c = hit__begin(KT_FAMILY_CONNECT);
	made = state->phase == SOCKET_OPEN || (STATES_MADE >> ((u32)old_state & 31)) & 1;
	state->phase = SOCKET_OVER;
	head__fill(&ev.head, &state->owner, state->cgroup_id, KT_EV_SOCKET, KT_FAMILY_CONNECT);
	ev.cookie = state->cookie;
	ev.state = made ? KT_SOCKET_CLOSED : KT_SOCKET_FAILED;
	ev.error = sk->sk_err;
	socket__bytes(sk, sk->__sk_common.skc_flags, &ev.bytes_sent, &ev.bytes_received);
	event__send(&ring_low, c, KT_FAMILY_CONNECT, &ev, sizeof(ev), state->cgroup_id, 0);
	return 0;
}

/* Unix sockets: the address as the caller gave it (`length` with the family). Only that a broker was called matters,
 * not the bytes. */
static __always_inline int unix__report(struct counters *c, u64 address, u32 length, bool user, u64 task)
{
	u64 node = 0, cgroup_id;
	struct identity who;
	struct scratch *s;
	struct ev_unix *ev;
	u32 len;

	if (length <= 2) /* unnamed */
		return hit__end(c, KT_FAMILY_CONNECT, KT_C_FILTERED);
	task__identity(task, false, &who);
	if (task__is_own(task, who.tgid, false))
		return hit__end(c, KT_FAMILY_CONNECT, KT_C_FILTERED);
	s = scratch__get(SCRATCH_UNIX);
	if (!s)
		return hit__end(c, KT_FAMILY_CONNECT, KT_C_LOST_SCRATCH);
	ev = (struct ev_unix *)s->buf;
	cgroup_id = task__cgroup(task, false, &node);
	head__fill(&ev->head, &who, cgroup_id, KT_EV_UNIX, KT_FAMILY_CONNECT);
	__builtin_memset(ev->pad, 0, sizeof(ev->pad));
	len = length - 2 > KT_UNIX_PATH_MAX ? KT_UNIX_PATH_MAX : length - 2;
	BOUNDED(len, 127);
	__builtin_memset(ev + 1, 0, 128);
	if (user ? bpf_probe_read_user(ev + 1, len, (void *)(address + 2))
		 : bpf_probe_read_kernel(ev + 1, len, (void *)(address + 2))) {
		scratch__put(s);
		return hit__end(c, KT_FAMILY_CONNECT, KT_C_LOST_FAULT);
	}
	/* a path ends at its first NUL; an abstract name begins with one and has its length */
	if (*(u8 *)(ev + 1)) {
		long n = bpf_probe_read_kernel_str(s->text, KT_UNIX_PATH_MAX + 1, ev + 1);

		if (n > 0 && n - 1 < len)
			len = n - 1;
	}
	BOUNDED(len, 127);
	ev->path_len = len;
	event__send(&ring_high, c, KT_FAMILY_CONNECT, ev, sizeof(*ev) + len, cgroup_id, node);
	scratch__put(s);
	return 0;
}

/* 6.7 and newer; the loader gives the attach type, which older libbpf does not know. */
SEC("cgroup/connect_unix")
int cgroup__connect_unix(struct bpf_sock_addr *ctx)
{
	struct counters *c = hit__begin(KT_FAMILY_CONNECT);
	struct bpf_sock_addr_kern *kernel = bpf_cast_to_kern_ctx(ctx);

	unix__report(c, (u64)kernel->uaddr, kernel->uaddrlen, false, bpf_get_current_task());
	return 1;
}

/* The address that the listening socket is bound to. */
static __always_inline int unix__listener(struct sock *other)
{
	struct counters *c = hit__begin(KT_FAMILY_CONNECT);
	struct unix_address *address = BPF_CORE_READ((struct unix_sock *)other, addr);

	if (!address)
		return hit__end(c, KT_FAMILY_CONNECT, KT_C_FILTERED);
	return unix__report(c, (u64)address + bpf_core_field_offset(struct unix_address, name),
			    BPF_CORE_READ(address, len), false, bpf_get_current_task());
}

SEC("fentry/security_unix_stream_connect")
int BPF_PROG(fentry__unix_stream_connect, struct sock *sock, struct sock *other, struct sock *newsk)
{
	return unix__listener(other);
}

SEC("kprobe/security_unix_stream_connect")
int BPF_KPROBE(kprobe__unix_stream_connect, struct sock *sock, struct sock *other)
{
	return unix__listener(other);
}

/* Fallback: the address is what the caller's memory holds at this moment. */
SEC("tp/syscalls/sys_enter_connect")
int tracepoint__connect(struct syscall_enter *ctx)
{
	struct counters *c = hit__begin(KT_FAMILY_CONNECT);
	u64 address = ctx->args[1];
	u16 family = 0;

	if (bpf_probe_read_user(&family, sizeof(family), (void *)address))
		return hit__end(c, KT_FAMILY_CONNECT, KT_C_LOST_FAULT);
	if (family != AF_UNIX_FAMILY)
		return hit__end(c, KT_FAMILY_CONNECT, KT_C_FILTERED);
	return unix__report(c, address, ctx->args[2] > 110 ? 110 : (u32)ctx->args[2], true, bpf_get_current_task());
}
