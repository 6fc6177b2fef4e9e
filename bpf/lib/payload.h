/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The first request of a connection: which protocol it is, and the one event that says so. What is whole in its first
 * segment is reported from there (the common case); anything else goes through a slot of pieces.h. Behind a request for
 * a tunnel, and behind one for TLS in a protocol of text (STARTTLS), the next bytes are a first request again.
 */
#ifndef KEYTRAIL_BPF_PAYLOAD_H
#define KEYTRAIL_BPF_PAYLOAD_H

#include "context.h"
#include "emit.h"
#include "http.h"
#include "pieces.h"

#define PASS 1
#define LOOKED_FIRST 8  /* requests for a tunnel or for TLS that are passed over */
#define LOOKED_PLAIN 32 /* segments of no known protocol that are looked at for a ClientHello */
#define ASKING_MAX 512  /* a request for TLS is short, and says so */
#define ASKING_SCAN 64  /* at its beginning */

static __always_inline int name__end(struct counters *c, u32 fate)
{
	hit__end(c, KT_FAMILY_NAME, fate);
	return PASS;
}

/* A segment of a client's TCP socket: what is looked at in it begins at `at`, up to its end. */
struct segment {
	struct __sk_buff *skb;
	struct counters *c;
	struct bpf_sock *sk;
	struct socket_state *state;
	u32 at;
	u32 len;
	u64 node; /* of the writer's cgroup */
};

/* What is to be said of a connection, beside the data behind the event. */
struct said {
	u32 protocol;
	u32 data_len;
	u32 seen_len;
	u8 beyond;
	u8 unread;
	u16 flags;
};

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

/* Whose event this is: the writer's, not all that hold the socket; where data leaves later, in a softirq, its owner's.
 */
static __always_inline void payload__begin(struct segment *g, struct scratch *s, const bool fast)
{
	struct ev_payload *ev = (struct ev_payload *)s->buf;
	u64 cgroup_id = g->state->cgroup_id, task;
	struct identity who = g->state->owner;

	g->node = 0;
	if (context__is_sender(g->sk, fast)) {
		task = bpf_get_current_task();
		task__identity(task, fast, &who);
		cgroup_id = task__cgroup(task, fast, &g->node);
	}
	head__fill(&ev->head, &who, cgroup_id, KT_EV_PAYLOAD, KT_FAMILY_NAME);
}

/* Sends what `say` says of the connection, behind a head that was begun; its data is there already. */
static __noinline int payload__send(struct segment *g, struct scratch *s, struct said *say)
{
	struct ev_payload *ev = (struct ev_payload *)s->buf;
	u32 n = say->data_len;

	ev->cookie = g->state->cookie;
	ev->seen_len = say->seen_len;
	ev->protocol = say->protocol;
	ev->beyond = say->beyond;
	ev->unread = say->unread;
	__builtin_memset(ev->pad, 0, sizeof(ev->pad));
	ev->head.flags |= say->flags;
	BOUNDED(n, KT_PAYLOAD_MAX);
	ev->data_len = n;
	event__send(&ring_high, g->c, KT_FAMILY_NAME, ev, sizeof(*ev) + n, ev->head.cgroup_id, g->node);
	return PASS;
}

/*
 * Does what is in s->skip (http.input_len bytes of it, the beginning) ask the server for TLS, so that a ClientHello
 * follows? PostgreSQL, MySQL, LDAP, and the protocols of text: SMTP, IMAP, POP3, FTP, XMPP and the like, with what they
 * ask before.
 */
__weak __noinline int plain__asks_for_tls(u32 which)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i, n, at, window = 0;
	u8 *d;

	if (!s)
		return 0;
	d = s->skip;
	n = s->http.input_len;
	if (n == 8 && !d[0] && !d[1] && !d[2] && d[3] == 8 && d[4] == 4 && d[5] == 0xd2 && d[6] == 0x16)
		return d[7] == 0x2f || d[7] == 0x30; /* SSLRequest, GSSENCRequest */
	if (n == 36 && d[0] == 32 && !d[1] && !d[2])
		return d[5] >> 3 & 1;          /* CLIENT_SSL */
	if (d[0] == 0x30 && n < ASKING_SCAN) { /* LDAPMessage: length, message's number, [APPLICATION 23] */
		at = 2 + (d[1] & 0x80 ? d[1] & 7 : 0);
		at += 2 + (d[(at + 1) & 15] & 7);
		return d[at & 31] == 0x77;
	}
	if (n > ASKING_MAX)
		return 0;
#pragma clang loop unroll(disable)
	for (i = 0; i < ASKING_SCAN && i < n; i++) {
		window = window << 8 | d[i] | 0x20;
		switch (window) {
		case 0x65686c6f: /* ehlo */
		case 0x68656c6f: /* helo */
		case 0x6c686c6f: /* lhlo */
		case 0x63617061: /* capa, capability */
		case 0x73746c73: /* stls */
		case 0x7274746c: /* starttls */
		case 0x6820746c: /* auth tls */
		case 0x68207373: /* auth ssl */
		case 0x73747265: /* stream */
			return 1;
		}
	}
	return 0;
}

/* What becomes of a segment that was looked at. */
enum {
	LOOK_WAIT,   /* nothing is to be said (yet) */
	LOOK_SEND,   /* `said`, with its data behind the event */
	LOOK_PIECES, /* it is not whole, or more than one thing: through a slot */
	LOOK_PLAIN,  /* no protocol that is read; s->skip has its beginning */
};

static __always_inline u32 look__plain(struct segment *g, struct scratch *s, struct said *say)
{
	say->protocol = KT_PAYLOAD_OTHER;
	say->data_len = 0;
	s->http.input_len = say->seen_len;
	if (!say->unread && g->state->looked < LOOKED_FIRST && plain__asks_for_tls(SCRATCH_NAME)) {
		g->state->looked++;
		g->state->payload_seen = 0;
		return LOOK_WAIT;
	}
	g->state->payload_seen = PAYLOAD_PLAIN;
	return LOOK_SEND;
}

/* A whole ClientHello is behind the event; what follows it in the segment begins at `rest`. */
static __always_inline u32 look__hello(struct segment *g, struct said *say, u32 rest)
{
	struct record_walk walk = {};

	say->protocol = KT_PAYLOAD_TLS;
	say->beyond = segment__is_beyond(g->skb, rest, &walk) != 0;
	g->state->record_left = walk.left;
	g->state->payload_seen = say->beyond ? PAYLOAD_SEEN : PAYLOAD_HANDSHAKE;
	return LOOK_SEND;
}

/* What follows the request for a tunnel is a first request again. */
static __always_inline void look__tunnel(struct segment *g)
{
	g->state->looked++;
	g->state->payload_seen = g->state->looked < LOOKED_FIRST ? 0 : PAYLOAD_PLAIN;
}

/* SSH or HTTP in s->skip; a CONNECT is whole with the last line of its head. */
static __always_inline u32 look__text(struct segment *g, struct scratch *s, u32 len, struct said *say)
{
	u8 *d = s->skip;

	s->http.input_len = len;
	s->http.connect = 0;
	s->http.taken = len;
	g->state->payload_seen = PAYLOAD_SEEN;
	if (len >= 8 && d[0] == 'S' && d[1] == 'S' && d[2] == 'H' && d[3] == '-') {
		say->protocol = KT_PAYLOAD_SSH;
		say->data_len = ssh__banner(SCRATCH_NAME, sizeof(struct ev_payload));
		return LOOK_SEND;
	}
	s->truncated = 0;
	say->protocol = KT_PAYLOAD_HTTP;
	say->data_len = http__reduce(SCRATCH_NAME, sizeof(struct ev_payload));
	say->flags = s->truncated ? KT_F_TRUNCATED : 0;
	if (s->http.state == HTTP_INVALID)
		return LOOK_PLAIN;
	if (s->http.state != HTTP_DONE && len < HTTP_SCAN_MAX)
		return LOOK_PIECES;
	if (s->http.connect)
		look__tunnel(g);
	return say->data_len ? LOOK_SEND : LOOK_PLAIN;
}

/* The name or address of a SOCKS request, behind the event. */
static __always_inline u32 look__socks(struct segment *g, struct scratch *s, struct pieces *p, struct said *say)
{
	u8 *out = s->buf + sizeof(struct ev_payload);
	u32 n = p->name_len;

	BOUNDED(n, 255);
	out[0] = p->kind;
	out[1] = pieces__byte(p, p->port_at);
	out[2] = pieces__byte(p, p->port_at + 1);
	bpf_probe_read_kernel(out + 3, n, p->data + (p->name_at & KT_PAYLOAD_MAX));
	say->protocol = KT_PAYLOAD_SOCKS;
	say->data_len = n + 3;
	look__tunnel(g);
	return LOOK_SEND;
}

/* The beginning of what is in the slot, for those that read from s->skip; returns its bytes. */
static __always_inline u32 pieces__to_skip(struct pieces *p, struct scratch *s)
{
	u32 n = p->len - p->from, size;

	if (n > HTTP_SCAN_MAX)
		n = HTTP_SCAN_MAX;
	size = n;
	asm volatile("%0 -= 1; %0 &= %1; %0 += 1" : "+r"(size) : "i"(HTTP_SCAN_MAX - 1));
	bpf_probe_read_kernel(s->skip, size, p->data + (p->from & KT_PAYLOAD_MAX));
	return n;
}

/* The bytes of the slot from p->from to `end`, behind the event; returns how many. */
static __always_inline u32 pieces__to_event(struct pieces *p, struct scratch *s, u32 end)
{
	u32 n = end - p->from;

	BOUNDED(n, KT_PAYLOAD_MAX);
	bpf_probe_read_kernel(s->buf + sizeof(struct ev_payload), n, p->data + (p->from & KT_PAYLOAD_MAX));
	return n;
}

/* A segment of what is not whole in one: all that came so far. */
static __noinline int payload__piece(struct segment *g, struct scratch *s, struct said *say)
{
	int found = pieces__find(g->state->cookie, g->state->payload_seen != PAYLOAD_PIECES);
	u32 slot = found, what = PIECES_OTHER, look, dropped = 0, end;
	struct pieces *p = found < 0 ? NULL : bpf_map_lookup_elem(&pieces_slots, &slot);

	if (p) {
		dropped = pieces__append(g->skb, slot, g->at, g->len);
		what = pieces__judge(slot);
	}
	if (!p || !pieces__is_of(p, g->state->cookie)) {
		if (say->data_len) /* a tunnel's request that was whole, with more behind it */
			return LOOK_SEND;
		say->unread = KT_UNREAD_BUSY;
		return LOOK_PLAIN;
	}
	say->seen_len = p->len - p->from;
	end = p->end;
	look = LOOK_PLAIN;
	if (what == PIECES_MORE)
		look = LOOK_PIECES;
	pieces__to_skip(p, s);
	if (what == PIECES_TEXT) {
		look = look__text(g, s, say->seen_len < HTTP_SCAN_MAX ? say->seen_len : HTTP_SCAN_MAX, say);
		end = p->from + s->http.taken;
	} else if (what == PIECES_SOCKS) {
		look = look__socks(g, s, p, say);
	} else if (what == PIECES_TLS) {
		say->data_len = pieces__to_event(p, s, end);
		end = g->skb->len - dropped - (p->len - end);
		look = look__hello(g, say, end < g->at ? g->at : end);
	}
	if (look == LOOK_PIECES && p->len < KT_PAYLOAD_MAX) {
		g->state->payload_seen = PAYLOAD_PIECES;
		return LOOK_WAIT;
	}
	if (look == LOOK_PIECES) { /* too much: of a ClientHello what there is */
		say->unread = KT_UNREAD_LONG;
		look = LOOK_PLAIN;
		if (s->skip[0] == TLS_HANDSHAKE) {
			say->protocol = KT_PAYLOAD_TLS;
			say->data_len = pieces__to_event(p, s, p->len);
			say->flags = KT_F_TRUNCATED;
			say->beyond = 1;
			g->state->payload_seen = PAYLOAD_SEEN;
			look = LOOK_SEND;
		}
	}
	if (look == LOOK_SEND && !g->state->payload_seen &&
	    end < p->len) { /* what goes through the tunnel came along: read with the next */
		p->end = end;
		pieces__next(p);
		g->state->payload_seen = PAYLOAD_PIECES;
		return look;
	}
	pieces__free(p, g->state->cookie);
	return look;
}

/* A segment of which nothing came before: what is whole in it needs no slot. */
static __noinline int payload__first(struct segment *g, struct scratch *s, struct said *say)
{
	u32 at = g->at, len = g->len, record, look, n;
	u8 head[9] = {};

	bpf_skb_load_bytes(g->skb, at, head, len >= sizeof(head) ? sizeof(head) : 1);
	record = 5 + (head[3] << 8 | head[4]);
	if (head[0] == 4 || head[0] == 5)
		return LOOK_PIECES;
	if (head[0] == TLS_HANDSHAKE && (len < sizeof(head) || record > len || record > KT_PAYLOAD_MAX ||
					 9U + (head[6] << 16 | head[7] << 8 | head[8]) > record))
		return LOOK_PIECES;
	if (head[0] == TLS_HANDSHAKE && head[1] == 3 && head[5] == 1) {
		say->data_len = record;
		packet__copy(g->skb, at, s->buf + sizeof(struct ev_payload), record, KT_PAYLOAD_MAX);
		return look__hello(g, say, at + record);
	}
	n = len < HTTP_SCAN_MAX ? len : HTTP_SCAN_MAX;
	packet__copy(g->skb, at, s->skip, n, HTTP_SCAN_MAX - 1);
	if (head[0] < 'A' || head[0] > 'Z')
		return LOOK_PLAIN;
	look = look__text(g, s, n, say);
	if (look == LOOK_SEND && s->http.connect && s->http.taken != len) {
		g->state->looked--; /* again, with what follows it */
		return LOOK_PIECES;
	}
	return look;
}

/* Looks at a segment of a connection whose first request is not known, or (with `beyond`) ends its handshake. */
static __always_inline int payload__report(struct segment *g, bool beyond, const bool fast)
{
	struct said say = {.protocol = KT_PAYLOAD_TLS_DATA, .seen_len = beyond ? 0 : g->len};
	struct scratch *s = scratch__get(SCRATCH_NAME);
	u32 look = LOOK_SEND;

	if (!s)
		return name__end(g->c, KT_C_LOST_SCRATCH);
	if (!beyond) {
		bool pieces = g->state->payload_seen == PAYLOAD_PIECES;

		look = pieces ? LOOK_PIECES : payload__first(g, s, &say);
		if (look == LOOK_PIECES) {
			if (!pieces)
				g->state->payload_seen = 0;
			look = payload__piece(g, s, &say);
		}
		if (look == LOOK_PLAIN)
			look = look__plain(g, s, &say);
	}
	if (look == LOOK_SEND) {
		payload__begin(g, s, fast);
		payload__send(g, s, &say);
	} else {
		name__end(g->c, KT_C_FILTERED);
	}
	scratch__put(s);
	return PASS;
}

#endif
