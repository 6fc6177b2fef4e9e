/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a connection is called: the first payload that leaves a client's TCP socket (ClientHello, reduced plain HTTP
 * request, SSH banner; of anything else only that it was sent), and answers of UDP port 53 to queries that were seen
 * leaving.
 */
#include "lib/emit.h"
#include "lib/context.h"
#include "lib/http.h"
#include "lib/socket.h"

#define ETHERTYPE_IP 0x0800
#define ETHERTYPE_IPV6 0x86DD
#define DNS_PORT 53
#define PASS 1

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

/* Where the transport header begins and which one it is; 0 for fragments, extension headers and what is no IP. */
static __always_inline u32 packet__transport(struct __sk_buff *skb, u8 *protocol)
{
	u8 head[10];

	if (bpf_skb_load_bytes(skb, 0, head, sizeof(head)))
		return 0;
	if (skb->protocol == bpf_htons(ETHERTYPE_IP)) {
		if ((head[6] & 0x1f) || head[7]) /* a later fragment */
			return 0;
		*protocol = head[9];
		return (head[0] & 15) * 4;
	}
	if (skb->protocol != bpf_htons(ETHERTYPE_IPV6))
		return 0;
	*protocol = head[6];
	return 40;
}

/* Copies 1 to mask + 1 bytes. 6.1 forgets a test against zero, so the size is made one that cannot be. */
static __always_inline bool packet__copy(struct __sk_buff *skb, u32 at, void *to, u32 size, const u32 mask)
{
	if (!size)
		return false;
	asm volatile("%0 -= 1; %0 &= %1; %0 += 1" : "+r"(size) : "ri"(mask));
	return !bpf_skb_load_bytes(skb, at, to, size);
}

static __always_inline int name__end(struct counters *c, u32 fate)
{
	hit__end(c, KT_FAMILY_NAME, fate);
	return PASS;
}

/* A query leaves: who asks is kept until the answer comes. */
static __always_inline int dns__note_query(struct __sk_buff *skb, struct counters *c, u32 at)
{
	u64 task = bpf_get_current_task(), node = 0;
	struct dns_asker asker = {};
	struct dns_key key = {};
	u8 head[4];

	if (bpf_skb_load_bytes(skb, at + 8, head, sizeof(head)) || (head[2] & 0x80))
		return name__end(c, KT_C_FILTERED);
	task__identity(task, false, &asker.who);
	if (task__is_own(task, asker.who.tgid, false))
		return name__end(c, KT_C_FILTERED);
	asker.cgroup_id = task__cgroup(task, false, &node);
	asker.asked_ns = bpf_ktime_get_boot_ns();
	asker.net_ns = BPF_CORE_READ((struct task_struct *)task, nsproxy, net_ns, ns.inum);
	key.cookie = bpf_get_socket_cookie(skb);
	key.id = head[0] << 8 | head[1];
	bpf_map_update_elem(&dns_asked, &key, &asker, BPF_ANY);
	return name__end(c, KT_C_FILTERED);
}

static __always_inline int udp__leaves(struct __sk_buff *skb, struct counters *c, u32 at)
{
	u64 task, node = 0;
	struct ev_head head;
	struct identity who;
	u16 port = 0;

	/* Only then it matters who sends: below 6.10 no helper gives the tgid here. */
	if (control.heartbeat[KT_FAMILY_NAME]) {
		task = bpf_get_current_task();
		task__identity(task, false, &who);
		if (heartbeat__take(who.tgid, KT_FAMILY_NAME)) {
			head__fill(&head, &who, task__cgroup(task, false, &node), KT_EV_HEARTBEAT, KT_FAMILY_NAME);
			return name__end(c, ring__send(&ring_high, &head, sizeof(head)));
		}
	}
	if (bpf_skb_load_bytes(skb, at + 2, &port, sizeof(port)) || port != bpf_htons(DNS_PORT))
		return name__end(c, KT_C_FILTERED);
	return dns__note_query(skb, c, at);
}

/* Which protocol the first bytes speak. */
static __always_inline u32 payload__protocol(const u8 *head, u32 len)
{
	if (len >= 6 && head[0] == 0x16 && head[1] == 3 && head[5] == 1)
		return KT_PAYLOAD_TLS;
	if (len >= 8 && head[0] == 'S' && head[1] == 'S' && head[2] == 'H' && head[3] == '-')
		return KT_PAYLOAD_SSH;
	/* every method is upper case and at most 7 letters: the parser proves the rest */
	if (len >= 16 && head[0] >= 'A' && head[0] <= 'Z' && head[1] >= 'A' && head[1] <= 'Z' && head[2] >= 'A' &&
	    head[2] <= 'Z')
		return KT_PAYLOAD_HTTP;
	return KT_PAYLOAD_OTHER;
}

/* Copies SSH's banner line (RFC 4253, 4.2: at most 255 bytes) from s->skip to s->buf[begin…]; returns its bytes. */
__weak __noinline int ssh__banner(u32 which, u32 begin)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i;

	if (!s)
		return 0;
	begin &= 255;
#pragma clang loop unroll(disable)
	for (i = 0; i < 255; i++) {
		if (i >= *(volatile u32 *)&s->http.input_len || s->skip[i] < ' ' || s->skip[i] >= 0x7f)
			break;
		s->buf[begin + i] = s->skip[i];
	}
	return i;
}

/* Fills data behind `ev`; returns its bytes. */
static __always_inline u32 payload__data(struct __sk_buff *skb, struct scratch *s, struct ev_payload *ev, u32 at,
					 u32 len, const u8 *head)
{
	u32 want = len;

	if (ev->protocol == KT_PAYLOAD_TLS) {
		/* the record that begins here and no byte more */
		if (want > 5 + (u32)(head[3] << 8 | head[4]))
			want = 5 + (u32)(head[3] << 8 | head[4]);
		if (want > KT_PAYLOAD_MAX) {
			want = KT_PAYLOAD_MAX;
			s->truncated = 1;
		}
		return packet__copy(skb, at, s->buf + sizeof(*ev), want, 8191) ? want : 0;
	}
	if (want > HTTP_SCAN_MAX)
		want = HTTP_SCAN_MAX;
	s->http.input_len = want;
	if (!packet__copy(skb, at, s->skip, want, HTTP_SCAN_MAX - 1))
		return 0;
	if (ev->protocol == KT_PAYLOAD_HTTP)
		return http__reduce(s, SCRATCH_NAME, sizeof(*ev));
	return ssh__banner(SCRATCH_NAME, sizeof(*ev));
}

/*
 * TLS records: types, and lengths that say what is inside although it is encrypted (TLS 1.3: a type and 16 bytes of
 * tag behind it).
 */
#define TLS_CHANGE_CIPHER 0x14
#define TLS_HANDSHAKE 0x16
#define TLS_DATA 0x17
#define TLS_RECORDS_AT_ONCE 8

static __always_inline bool record__is_handshake(const u8 *head)
{
	u32 len = head[3] << 8 | head[4];

	if (head[0] == TLS_DATA) /* an alert, an empty Certificate, a Finished of SHA-256 or SHA-384 */
		return len <= 19 || len == 25 || len == 53 || len == 69;
	return head[0] >= TLS_CHANGE_CIPHER && head[0] <= TLS_HANDSHAKE;
}

/* Does a segment whose data begins at `at` have bytes beyond the handshake? What is no record counts as such. */
static __always_inline bool segment__is_beyond(struct __sk_buff *skb, struct socket_state *state, u32 at)
{
	u32 left = state->record_left;
	u8 head[5];
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < TLS_RECORDS_AT_ONCE; i++) {
		if (at + left >= skb->len) {
			state->record_left = at + left - skb->len;
			return false;
		}
		at += left;
		if (bpf_skb_load_bytes(skb, at, head, sizeof(head)) || !record__is_handshake(head))
			return true;
		left = sizeof(head) + (head[3] << 8 | head[4]);
	}
	return true;
}

/*
 * What every payload event says of its connection. The writer, not all that hold the socket; where data leaves later,
 * in a softirq, its owner.
 */
static __always_inline struct ev_payload *payload__begin(struct scratch *s, struct socket_state *state, bool by_writer,
							 u32 protocol, u64 *cgroup_id, u64 *node)
{
	u64 task = bpf_get_current_task();
	struct identity who = state->owner;
	struct ev_payload *ev = (struct ev_payload *)s->buf;

	*cgroup_id = state->cgroup_id;
	if (by_writer) {
		task__identity(task, false, &who);
		*cgroup_id = task__cgroup(task, false, node);
	}
	head__fill(&ev->head, &who, *cgroup_id, KT_EV_PAYLOAD, KT_FAMILY_NAME);
	ev->cookie = state->cookie;
	ev->seen_len = 0;
	ev->data_len = 0;
	ev->protocol = protocol;
	ev->beyond = 0;
	__builtin_memset(ev->pad, 0, sizeof(ev->pad));
	return ev;
}

/* The first bytes beyond the handshake leave. */
static __always_inline int data__report(struct __sk_buff *skb, struct counters *c, struct bpf_sock *sk,
					struct socket_state *state)
{
	struct scratch *s = scratch__get(SCRATCH_NAME);
	u64 cgroup_id, node = 0;
	struct ev_payload *ev;

	if (!s)
		return name__end(c, KT_C_LOST_SCRATCH);
	ev = payload__begin(s, state, context__is_sender(sk), KT_PAYLOAD_TLS_DATA, &cgroup_id, &node);
	event__send(&ring_high, c, KT_FAMILY_NAME, ev, sizeof(*ev), cgroup_id, node);
	scratch__put(s);
	return PASS;
}

static __always_inline int payload__report(struct __sk_buff *skb, struct counters *c, struct bpf_sock *sk,
					   struct socket_state *state, u32 at, u32 len)
{
	struct scratch *s = scratch__get(SCRATCH_NAME);
	u64 cgroup_id, node = 0;
	struct ev_payload *ev;
	u8 head[8] = {};
	u32 n;

	if (!s)
		return name__end(c, KT_C_LOST_SCRATCH);
	ev = payload__begin(s, state, context__is_sender(sk), KT_PAYLOAD_OTHER, &cgroup_id, &node);
	ev->seen_len = len;
	bpf_skb_load_bytes(skb, at, head, len >= 8 ? 8 : 1);
	ev->protocol = payload__protocol(head, len);
	n = ev->protocol == KT_PAYLOAD_OTHER ? 0 : payload__data(skb, s, ev, at, len, head);
	if (!n)
		ev->protocol = KT_PAYLOAD_OTHER;
	if (ev->protocol == KT_PAYLOAD_TLS) {
		state->record_left = 0;
		ev->beyond = segment__is_beyond(skb, state, at);
		if (!ev->beyond)
			state->payload_seen = PAYLOAD_HANDSHAKE;
	}
	BOUNDED(n, 8191);
	ev->data_len = n;
	if (s->truncated)
		ev->head.flags |= KT_F_TRUNCATED;
	event__send(&ring_high, c, KT_FAMILY_NAME, ev, sizeof(*ev) + n, cgroup_id, node);
	scratch__put(s);
	return PASS;
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

SEC("cgroup_skb/egress")
int cgroup_skb__egress(struct __sk_buff *skb)
{
	struct counters *c = hit__begin(KT_FAMILY_NAME);
	struct bpf_sock *sk = skb->sk;
	struct socket_state *state;
	u8 protocol = 0, offset = 0;
	u32 at, header;

	if (!sk)
		return name__end(c, KT_C_FILTERED);
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return name__end(c, KT_C_FILTERED);
	if (sk->protocol == IPPROTO_UDP) {
		at = packet__transport(skb, &protocol);
		return at && protocol == IPPROTO_UDP ? udp__leaves(skb, c, at) : name__end(c, KT_C_FILTERED);
	}
	if (sk->protocol != IPPROTO_TCP)
		return name__end(c, KT_C_FILTERED);
	state = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	if (!state || (state->payload_seen == PAYLOAD_SEEN && !socket__is_metadata(sk)))
		return name__end(c, KT_C_FILTERED);
	at = packet__transport(skb, &protocol);
	if (!at || protocol != IPPROTO_TCP || bpf_skb_load_bytes(skb, at + 12, &offset, 1))
		return name__end(c, KT_C_FILTERED);
	header = at + (offset >> 4) * 4;
	if (skb->len <= header) /* SYN, ACK */
		return name__end(c, KT_C_FILTERED);
	if (state->payload_seen == PAYLOAD_HANDSHAKE) {
		if (!segment__is_beyond(skb, state, header))
			return name__end(c, KT_C_FILTERED);
		state->payload_seen = PAYLOAD_SEEN;
		return data__report(skb, c, sk, state);
	}
	if (state->payload_seen) { /* a further segment: of a body, unless it begins like a request */
		u8 first = 0;

		if (bpf_skb_load_bytes(skb, header, &first, 1) || first < 'A' || first > 'Z')
			return name__end(c, KT_C_FILTERED);
	}
	state->payload_seen = PAYLOAD_SEEN;
	return payload__report(skb, c, sk, state, header, skb->len - header);
}

/* A metadata service answers: only a success hands out a key. */
static __always_inline int answer__arrives(struct __sk_buff *skb, struct counters *c, struct bpf_sock *sk)
{
	struct socket_state *state = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	u8 protocol = 0, offset = 0, line[12];
	u64 cgroup_id, node = 0;
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
	ev = payload__begin(s, state, false, KT_PAYLOAD_STATUS, &cgroup_id, &node);
	ev->data_len = 3;
	__builtin_memcpy(s->buf + sizeof(*ev), line + 9, 3);
	event__send(&ring_high, c, KT_FAMILY_NAME, ev, sizeof(*ev) + 3, cgroup_id, node);
	scratch__put(s);
	return PASS;
}

SEC("cgroup_skb/ingress")
int cgroup_skb__ingress(struct __sk_buff *skb)
{
	struct counters *c = hit__begin(KT_FAMILY_NAME);
	struct dns_asker *asker;
	struct dns_key key = {};
	struct scratch *s;
	struct ev_dns *ev;
	struct bpf_sock *sk = skb->sk;
	u8 protocol = 0, head[4];
	u16 port = 0;
	u32 at, n;

	if (!sk)
		return name__end(c, KT_C_FILTERED);
	sk = bpf_sk_fullsock(sk);
	if (sk && sk->protocol == IPPROTO_TCP && socket__is_metadata(sk))
		return answer__arrives(skb, c, sk);
	if (!sk || sk->protocol != IPPROTO_UDP)
		return name__end(c, KT_C_FILTERED);
	at = packet__transport(skb, &protocol);
	if (!at || protocol != IPPROTO_UDP || bpf_skb_load_bytes(skb, at, &port, sizeof(port)) ||
	    port != bpf_htons(DNS_PORT))
		return name__end(c, KT_C_FILTERED);
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

char _license[] SEC("license") __weak = "Dual BSD/GPL";
