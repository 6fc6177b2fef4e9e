/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A plain HTTP/1 request reduced to what may leave: "METHOD target HTTP/1.x", LF, the Host header's value. Cut away:
 * the query, the fragment, path parameters (from ';'), credentials before '@', every other header. What does not prove
 * to be HTTP/1 leaves nothing: other protocols begin alike (NATS: `CONNECT {"pass":…}`). State in scratch memory, 16
 * bytes per call.
 */
#ifndef KEYTRAIL_BPF_HTTP_H
#define KEYTRAIL_BPF_HTTP_H

#include "maps.h"

#define HTTP_CHUNK 16
#define HTTP_SCAN_MAX 4096 /* bytes of the segment that are looked at */
#define HTTP_OUT_MAX 1024  /* bytes that leave */

enum {
	HTTP_METHOD,
	HTTP_TARGET,
	HTTP_CUT, /* behind '?', '#' or ';': dropped up to the space */
	HTTP_VERSION,
	HTTP_LINE_START, /* from here on it is HTTP */
	HTTP_OTHER,      /* some other header */
	HTTP_HOST,
	HTTP_DONE,
	HTTP_INVALID,
};

static const char http__version[8] = "HTTP/1.";
static const char http__connect[9] = "CONNECT ";
static const char http__host[8] = "host:";

static __always_inline void http__put(struct scratch *s, u8 c)
{
	u32 at = s->off;

	if (at >= s->limit) {
		s->truncated = 1;
		return;
	}
	s->buf[at & (SCRATCH_BYTES - 1)] = c;
	s->off = at + 1;
}

static __always_inline void http__target(struct scratch *s, u8 c)
{
	if (!s->http.first)
		s->http.first = c;
	if (c == '?' || c == '#' || c == ';') {
		s->http.state = HTTP_CUT;
		return;
	}
	if (c == ' ') {
		http__put(s, c);
		s->http.state = HTTP_VERSION;
		s->http.matched = 0;
		return;
	}
	if (c <= ' ' || c >= 0x7f || c == '{' || c == '"') {
		s->http.state = HTTP_INVALID;
		return;
	}
	/* user:password@: what was written since the target's or the authority's beginning is taken back */
	if (c == '@' && (s->http.scheme == 3 || (s->http.scheme < 3 && s->http.first != '/'))) {
		s->off = s->http.begin;
		return;
	}
	http__put(s, c);
	if (s->http.scheme == 3) {
		if (c == '/')
			s->http.scheme = 4;
	} else if (s->http.scheme < 3) {
		if (c == ':') {
			s->http.scheme = 1;
		} else if (c == '/' && s->http.scheme) {
			s->http.scheme++;
			if (s->http.scheme == 3)
				s->http.begin = s->off;
		} else {
			s->http.scheme = 0;
		}
	}
}

static __always_inline void http__byte(struct scratch *s, u8 c)
{
	switch (s->http.state) {
	case HTTP_METHOD:
		http__put(s, c);
		if (s->http.matched < 8 && c == (u8)http__connect[s->http.matched & 7])
			s->http.matched++;
		else
			s->http.matched = 9;
		if (c == ' ') {
			s->http.connect = s->http.matched == 8;
			s->http.state = HTTP_TARGET;
			s->http.begin = s->off;
			s->http.scheme = 0;
			s->http.first = 0;
		} else if (c < 'A' || c > 'Z') {
			s->http.state = HTTP_INVALID;
		}
		break;
	case HTTP_TARGET:
		http__target(s, c);
		break;
	case HTTP_CUT:
		if (c == ' ') {
			http__put(s, c);
			s->http.state = HTTP_VERSION;
			s->http.matched = 0;
		} else if (c < ' ') {
			s->http.state = HTTP_INVALID;
		}
		break;
	case HTTP_VERSION:
		if (s->http.matched < 7) {
			if (c != (u8)http__version[s->http.matched & 7])
				s->http.state = HTTP_INVALID;
		} else if (c == '\n') {
			s->http.state = HTTP_LINE_START;
			s->http.matched = 0;
			break;
		} else if (c == '\r') {
			break;
		} else if (s->http.matched > 7 || c < '0' || c > '9') {
			s->http.state = HTTP_INVALID;
		}
		s->http.matched++;
		http__put(s, c);
		break;
	case HTTP_LINE_START:
		if (c == '\n')
			s->http.state = HTTP_DONE;
		if (c == '\n' || c == '\r')
			break;
		if (s->http.hosted || (c | 0x20) != (u8)http__host[s->http.matched & 7]) {
			s->http.state = HTTP_OTHER;
			break;
		}
		s->http.matched++;
		if (s->http.matched == 5) {
			s->http.state = HTTP_HOST;
			http__put(s, '\n');
		}
		break;
	case HTTP_OTHER:
		if (c == '\n') {
			s->http.state = HTTP_LINE_START;
			s->http.matched = 0;
		}
		break;
	case HTTP_HOST:
		if (c == '\n') { /* what comes behind a CONNECT begins where its head ends */
			s->http.state = s->http.connect ? HTTP_LINE_START : HTTP_DONE;
			s->http.matched = 0;
			s->http.hosted = 1;
		} else if (c > ' ' && c < 0x7f)
			http__put(s, c);
		break;
	default:
		break;
	}
}

/* Reads 16 bytes of s->skip from `from`; true when there is nothing more to read. */
__weak __noinline int http__chunk(u32 which, u32 from)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i;

	if (!s)
		return 1;
#pragma clang loop unroll(disable)
	for (i = 0; i < HTTP_CHUNK; i++) {
		if (from + i >= s->http.input_len)
			return 1;
		http__byte(s, s->skip[(from + i) & (HTTP_SCAN_MAX - 1)]);
		if (s->http.state >= HTTP_DONE) {
			s->http.taken = from + i + 1;
			return 1;
		}
	}
	return 0;
}

/*
 * Reduces the request in s->skip (http.input_len bytes) to s->buf[begin…]; returns its bytes, 0 when it is none or
 * not yet one (http.state says which).
 */
__weak __noinline int http__reduce(u32 which, u32 begin)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);
	u32 i;

	if (!s)
		return 0;
	begin &= 255;

	s->off = begin;
	s->limit = begin + HTTP_OUT_MAX;
	s->http.state = HTTP_METHOD;
	s->http.matched = 0;
	s->http.hosted = 0;
	s->http.connect = 0;
	s->http.taken = s->http.input_len;
#pragma clang loop unroll(disable)
	for (i = 0; i < HTTP_SCAN_MAX; i += HTTP_CHUNK) {
		if (http__chunk(which, i))
			break;
	}
	if (s->http.state < HTTP_LINE_START || s->http.state == HTTP_INVALID)
		return 0;
	if (s->http.state != HTTP_DONE)
		s->truncated = 1;
	return s->off - begin;
}

#endif
