/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a connection is called. Of a client's TCP socket the first request (lib/payload.h: ClientHello, plain HTTP, a
 * request for a tunnel, SSH's banner; of anything else only that it was sent), of a client's UDP socket the first
 * datagrams (QUIC), of UDP port 53 the answers to queries that were seen leaving.
 */
#include "lib/payload.h"

#define QUIC_V1 1U
#define QUIC_V2 0x6b3343cfU

struct dns_key {
	u64 cookie;
	u32 id;
	u32 pad;
};
struct dns_asker {
	struct identity who;
	u64 cgroup_id;
	u64 asked_ns;
	u32 net_ns;
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct dns_key);
	__type(value, struct dns_asker);
} dns_asked __weak SEC(".maps");

/* A query leaves: who asks is kept until the answer comes. */
static __always_inline int dns__note_query(struct __sk_buff *skb, struct counters *c, u32 at, const bool fast)
{
	u64 task = bpf_get_current_task(), node = 0, spaces, space;
	struct dns_asker asker = {};
	struct dns_key key = {};
	u8 head[4];

	if (bpf_skb_load_bytes(skb, at + 8, head, sizeof(head)) || (head[2] & 0x80))
		return name__end(c, KT_C_FILTERED);
	task__identity(task, fast, &asker.who);
	if (task__is_own(task, asker.who.tgid, fast))
		return name__end(c, KT_C_FILTERED);
	asker.cgroup_id = task__cgroup(task, fast, &node);
	asker.asked_ns = bpf_ktime_get_boot_ns();
	spaces = (u64)READ(fast, task, struct task_struct, nsproxy);
	space = (u64)READ(fast, spaces, struct nsproxy, net_ns);
	asker.net_ns = READ(fast, space, struct net, ns.inum);
	key.cookie = bpf_get_socket_cookie(skb);
	key.id = head[0] << 8 | head[1];
	bpf_map_update_elem(&dns_asked, &key, &asker, BPF_ANY);
	return name__end(c, KT_C_FILTERED);
}

/* Of UDP the first datagram, and QUIC's Initial packets: a ClientHello may take several. */
static __always_inline int datagram__report(struct segment *g, const bool fast)
{
	struct said say = {.protocol = KT_PAYLOAD_OTHER, .seen_len = g->len};
	struct scratch *s;
	u8 head[5] = {};
	u32 version, n;
	bool initial;

	if (g->len >= sizeof(head))
		bpf_skb_load_bytes(g->skb, g->at, head, sizeof(head));
	version = head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4];
	initial = (version == QUIC_V1 && (head[0] & 0xf0) == 0xc0) || (version == QUIC_V2 && (head[0] & 0xf0) == 0xd0);
	if (initial ? g->state->looked >= LOOKED_FIRST : g->state->payload_seen || g->state->looked)
		return name__end(g->c, KT_C_FILTERED);
	s = scratch__get(SCRATCH_NAME);
	if (!s)
		return name__end(g->c, KT_C_LOST_SCRATCH);
	if (initial) {
		g->state->looked++;
		n = g->len < KT_PAYLOAD_MAX ? g->len : KT_PAYLOAD_MAX;
		say.protocol = KT_PAYLOAD_QUIC;
		say.data_len = n;
		packet__copy(g->skb, g->at, s->buf + sizeof(struct ev_payload), n, KT_PAYLOAD_MAX);
	} else {
		g->state->payload_seen = PAYLOAD_SEEN;
	}
	payload__begin(g, s, fast);
	payload__send(g, s, &say);
	scratch__put(s);
	return PASS;
}

static __always_inline int udp__leaves(struct __sk_buff *skb, struct counters *c, struct bpf_sock *sk, u32 at,
				       const bool fast)
{
	struct segment g = {.skb = skb, .c = c, .sk = sk, .at = at + 8};
	u64 task, node = 0;
	struct ev_head head;
	struct identity who;
	u16 port = 0;

	/* Only then it matters who sends: below 6.10 no helper gives the tgid here. */
	if (control.heartbeat[KT_FAMILY_NAME]) {
		task = bpf_get_current_task();
		task__identity(task, fast, &who);
		if (heartbeat__take(who.tgid, KT_FAMILY_NAME)) {
			head__fill(&head, &who, task__cgroup(task, fast, &node), KT_EV_HEARTBEAT, KT_FAMILY_NAME);
			return name__end(c, ring__send(&ring_high, &head, sizeof(head)));
		}
	}
	if (bpf_skb_load_bytes(skb, at + 2, &port, sizeof(port)))
		return name__end(c, KT_C_FILTERED);
	if (port == bpf_htons(DNS_PORT))
		return dns__note_query(skb, c, at, fast);
	if (skb->len <= g.at)
		return name__end(c, KT_C_FILTERED);
	g.len = skb->len - g.at;
	g.state = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	return g.state && g.state->phase != SOCKET_ANSWERS ? datagram__report(&g, fast) : name__end(c, KT_C_FILTERED);
}

/* Metadata services (link-local, and the fixed addresses of Alibaba and of EC2 over IPv6): one connection carries
 * several requests, and the last one hands out the key. */
static __always_inline bool socket__is_metadata(struct bpf_sock *sk)
{
	if (sk->family == AF_INET_FAMILY)
		return (sk->dst_ip4 & bpf_htonl(0xffff0000)) == bpf_htonl(0xa9fe0000) ||
		       sk->dst_ip4 == bpf_htonl(0x646464c8);
	return sk->family == AF_INET6_FAMILY && sk->dst_ip6[0] == bpf_htonl(0xfd000ec2);
}

/*
 * The data of a TCP segment that leaves and that has not been looked at: `at` is where it begins. 0: none (SYN, ACK),
 * or all of it was sent before.
 */
static __always_inline u32 segment__data(struct __sk_buff *skb, struct socket_state *state, u32 *at)
{
	u8 head[14], protocol = 0;
	u32 seq, len, known;

	*at = packet__transport(skb, &protocol);
	if (!*at || protocol != IPPROTO_TCP || bpf_skb_load_bytes(skb, *at, head, sizeof(head)))
		return 0;
	*at += (head[12] >> 4) * 4;
	if (skb->len <= *at)
		return 0;
	len = skb->len - *at;
	seq = head[4] << 24 | head[5] << 16 | head[6] << 8 | head[7];
	if (head[13] & TCP_SYN) /* fast open */
		seq++;
	known = state->in_sequence ? state->next_seq - seq : 0;
	if ((s32)known > 0) { /* sent again */
		if (known >= len)
			return 0;
		*at += known;
		len -= known;
		seq = state->next_seq;
	}
	state->next_seq = seq + len;
	state->in_sequence = 1;
	return len;
}

/* A segment of a connection that spoke plain text: does TLS begin, or is it the last that is looked at? */
static __always_inline bool plain__ends(struct __sk_buff *skb, struct socket_state *state, u32 at)
{
	u8 head[2];

	if (++state->looked > LOOKED_PLAIN)
		state->payload_seen = PAYLOAD_SEEN;
	return !bpf_skb_load_bytes(skb, at, head, sizeof(head)) && head[0] == TLS_HANDSHAKE && head[1] == 3;
}

/* A packet leaves. Of TCP most have no data, or are of sockets that are not a client's or have said what they are
 * called: those are no run, they end before anything is counted. */
static __always_inline int packet__leaves(struct __sk_buff *skb, const bool fast)
{
	struct bpf_sock *sk = skb->sk;
	struct socket_state *state;
	struct segment g = {.skb = skb};
	struct record_walk walk = {};
	u8 protocol = 0, first = 0;
	bool beyond = false;
	struct counters *c;
	u32 at;

	if (!sk || packet__is_bare(skb))
		return PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return PASS;
	g.sk = sk;
	if (sk->protocol == IPPROTO_UDP) {
		c = hit__begin(KT_FAMILY_NAME);
		g.c = c;
		at = packet__transport(skb, &protocol);
		return at && protocol == IPPROTO_UDP ? udp__leaves(skb, c, sk, at, fast) : name__end(c, KT_C_FILTERED);
	}
	if (sk->protocol != IPPROTO_TCP)
		return PASS;
	state = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	if (!state || (state->payload_seen == PAYLOAD_SEEN && !socket__is_metadata(sk)))
		return PASS;
	c = hit__begin(KT_FAMILY_NAME);
	g.c = c;
	g.len = segment__data(skb, state, &g.at);
	if (!g.len)
		return name__end(c, KT_C_FILTERED);
	g.state = state;
	switch (state->payload_seen) {
	case PAYLOAD_HANDSHAKE:
		walk.left = state->record_left;
		beyond = segment__is_beyond(skb, g.at, &walk);
		state->record_left = walk.left;
		if (!beyond)
			return name__end(c, KT_C_FILTERED);
		state->payload_seen = PAYLOAD_SEEN;
		break;
	case PAYLOAD_PLAIN:
		if (!plain__ends(skb, state, g.at))
			return name__end(c, KT_C_FILTERED);
		break;
	case PAYLOAD_SEEN: /* a further segment: of a body, unless it begins like a request */
		if (bpf_skb_load_bytes(skb, g.at, &first, 1) || first < 'A' || first > 'Z')
			return name__end(c, KT_C_FILTERED);
	}
	return payload__report(&g, beyond, fast);
}

SEC("cgroup_skb/egress")
int cgroup_skb__egress_fast(struct __sk_buff *skb)
{
	return packet__leaves(skb, true);
}

SEC("cgroup_skb/egress")
int cgroup_skb__egress_slow(struct __sk_buff *skb)
{
	return packet__leaves(skb, false);
}

/* A metadata service answers: only a success hands out a key. */
static __always_inline int answer__arrives(struct __sk_buff *skb, struct counters *c, struct bpf_sock *sk)
{
	struct socket_state *state = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	u8 protocol = 0, offset = 0, line[12];
	struct identity owner;
	struct ev_payload *ev;
	struct scratch *s;
	u32 at;

	if (!state || !state->payload_seen)
		return name__end(c, KT_C_FILTERED);
	at = packet__transport(skb, &protocol);
	if (!at || protocol != IPPROTO_TCP || bpf_skb_load_bytes(skb, at + 12, &offset, 1))
		return name__end(c, KT_C_FILTERED);
	at += (offset >> 4) * 4;
	if (skb->len < at + sizeof(line) || bpf_skb_load_bytes(skb, at, line, sizeof(line)))
		return name__end(c, KT_C_FILTERED);
	if (line[0] != 'H' || line[1] != 'T' || line[2] != 'T' || line[3] != 'P' || line[4] != '/' || line[8] != ' ')
		return name__end(c, KT_C_FILTERED);
	s = scratch__get(SCRATCH_NAME);
	if (!s)
		return name__end(c, KT_C_LOST_SCRATCH);
	owner = state->owner;
	ev = (struct ev_payload *)s->buf;
	__builtin_memset(ev, 0, sizeof(*ev));
	head__fill(&ev->head, &owner, state->cgroup_id, KT_EV_PAYLOAD, KT_FAMILY_NAME);
	ev->cookie = state->cookie;
	ev->protocol = KT_PAYLOAD_STATUS;
	ev->data_len = 3;
	__builtin_memcpy(s->buf + sizeof(*ev), line + 9, 3);
	event__send(&ring_high, c, KT_FAMILY_NAME, ev, sizeof(*ev) + 3, ev->head.cgroup_id, 0);
	scratch__put(s);
	return PASS;
}

/* A UDP socket that receives before it sent is a server's: what it sends are answers. */
static __always_inline int udp__arrives(struct counters *c, struct bpf_sock *sk)
{
	struct socket_state *state = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (state && !state->phase)
		state->phase = SOCKET_ANSWERS;
	return name__end(c, KT_C_FILTERED);
}

/* A packet arrives. All but UDP and what metadata services answer is no run: it ends before anything is looked up. */
SEC("cgroup_skb/ingress")
int cgroup_skb__ingress(struct __sk_buff *skb)
{
	struct dns_asker *asker;
	struct dns_key key = {};
	struct counters *c;
	struct scratch *s;
	struct ev_dns *ev;
	struct bpf_sock *sk = skb->sk;
	u8 protocol = 0, head[4];
	u16 port = 0;
	u32 at, n;

	if (!sk)
		return PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return PASS;
	if (sk->protocol == IPPROTO_TCP)
		return socket__is_metadata(sk) ? answer__arrives(skb, hit__begin(KT_FAMILY_NAME), sk) : PASS;
	if (sk->protocol != IPPROTO_UDP)
		return PASS;
	c = hit__begin(KT_FAMILY_NAME);
	at = packet__transport(skb, &protocol);
	if (!at || protocol != IPPROTO_UDP || bpf_skb_load_bytes(skb, at, &port, sizeof(port)))
		return name__end(c, KT_C_FILTERED);
	if (port != bpf_htons(DNS_PORT))
		return udp__arrives(c, sk);
	if (bpf_skb_load_bytes(skb, at + 8, head, sizeof(head)) || !(head[2] & 0x80))
		return name__end(c, KT_C_FILTERED);
	key.cookie = bpf_get_socket_cookie(skb);
	key.id = head[0] << 8 | head[1];
	asker = bpf_map_lookup_elem(&dns_asked, &key);
	if (!asker) /* nobody asked */
		return name__end(c, KT_C_FILTERED);
	s = scratch__get(SCRATCH_NAME);
	if (!s)
		return name__end(c, KT_C_LOST_SCRATCH);
	ev = (struct ev_dns *)s->buf;
	head__fill(&ev->head, &asker->who, asker->cgroup_id, KT_EV_DNS, KT_FAMILY_NAME);
	ev->cookie = key.cookie;
	ev->net_ns = asker->net_ns;
	ev->pad = 0;
	n = skb->len - at - 8;
	if (n > KT_DNS_MAX) {
		n = KT_DNS_MAX;
		ev->head.flags |= KT_F_TRUNCATED;
	}
	if (!packet__copy(skb, at + 8, s->buf + sizeof(*ev), n, 2047)) {
		scratch__put(s);
		return name__end(c, KT_C_LOST_FAULT);
	}
	BOUNDED(n, 2047);
	ev->data_len = n;
	event__send(&ring_low, c, KT_FAMILY_NAME, ev, sizeof(*ev) + n, asker->cgroup_id, 0);
	bpf_map_delete_elem(&dns_asked, &key);
	scratch__put(s);
	return PASS;
}
