/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: which goroutine runs on the current thread, which `go` statement made it, and whose stacks that came from.
 *
 * The runtime keeps all this in struct g. Ancestors are there only if the program runs with
 * GODEBUG=tracebackancestors=N: copies of the program counters that each of them had at its `go` statement.
 */
#ifndef SOCKLEAK_GO_BPF_H
#define SOCKLEAK_GO_BPF_H

#include "base/emit.bpf.h"
#include "stacks/recall.bpf.h"
#include "stacks/stack_copy.bpf.h"

static __always_inline __u64 sl_user_word(__u64 address)
{
	__u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)address);
	return word;
}

/* The current goroutine; 0 = this thread runs none, as one that C has made. */
static __always_inline __u64 sl_goroutine(const struct sl_go *go)
{
	struct task_struct *task = sl_task();
	struct pt_regs *regs = sl_user_regs();
	__u64 g = 0, m;

	if (go->g_from_fs)
		g = sl_user_word(SL_LOAD(task, thread.fsbase) + (__s64)go->g_from_fs);
	else if (regs && sl_goroutine_stack_left(SL_LOAD(regs, r14), SL_LOAD(regs, sp)))
		g = SL_LOAD(regs, r14);
	if (!g)
		return 0;
	m = sl_user_word(g + go->g_m); /* g itself is g0 while C code runs */
	return m ? sl_user_word(m + go->m_curg) : 0;
}

/* Sends the `count` program counters at `from` as a stack. Returns its hash, 0 if they could not be read or sent. */
__weak __noinline __u64 sl_kept_stack(__u64 from, __u32 asid, __u32 count, __u32 flags)
{
	struct sl_window *window = sl_this_window();
	__u64 owner, bytes, hash;
	__u32 i;

	if (!window)
		return 0;
	owner = (bpf_get_current_pid_tgid() << 32) ^ ++window->turns;
	window->owner = owner;
	window->walk.asid = asid;
	window->flags = flags;
	window->end = SL_WALK_COMPLETE;
	if (count > SL_MAX_FRAMES) {
		count = SL_MAX_FRAMES;
		window->end = SL_WALK_DEPTH;
	}
	window->count = count;
	bytes = count * 8;
	SL_OPAQUE(bytes);
	if (bytes > SL_MAX_FRAMES * 8)
		return 0;
	if (bpf_probe_read_user(window->frames, bytes, (void *)from))
		return 0;
	hash = sl_mix(0x676f7063ull ^ flags, asid);
	for (i = 0; i < SL_MAX_FRAMES; i++) {
		if (i >= count)
			break;
		hash = sl_mix(hash, window->frames[i]);
	}
	hash = sl_last_hash(hash, window->end);
	if (window->owner != owner) {
		window->owner = 0;
		return 0;
	}
	if (bpf_map_lookup_elem(&sl_seen, &hash))
		return hash;
	return sl_send_frames(window, owner, hash) ? 0 : hash;
}

/* Tells the ancestors in the slice at `slice`, the parent first. */
__weak __noinline int sl_tell_ancestors(__u64 cookie, __u32 asid, __u64 slice)
{
	struct sl_goroutine_ancestors *event;
	__u64 list[2] = {}; /* where, how many */
	__u64 one[4]; /* ancestorInfo: the slice of program counters (where, how many, room), goid */
	__u32 i;

	if (bpf_probe_read_user(list, sizeof(list), (void *)slice)) {
		sl_count(SL_COUNTER_GOROUTINES_LOST);
		return 0;
	}
	if (!list[1])
		return 0;
	event = sl_reserve(sizeof(*event));
	if (!event)
		return 0;
	sl_fill_header(&event->header, SL_GOROUTINE_ANCESTORS, sizeof(*event));
	event->cookie = cookie;
	event->exact = 1;
	event->count = list[1] < SL_MAX_ANCESTORS ? list[1] : SL_MAX_ANCESTORS;
	__builtin_memset(event->padding, 0, sizeof(event->padding));
	__builtin_memset(event->ancestors, 0, sizeof(event->ancestors));
	for (i = 0; i < SL_MAX_ANCESTORS; i++) {
		if (i >= list[1])
			break;
		if (bpf_probe_read_user(one, sizeof(one), (void *)(list[0] + i * 40))) {
			sl_count(SL_COUNTER_GOROUTINES_LOST);
			event->count = i;
			break;
		}
		event->ancestors[i].goroutine = one[3];
		event->ancestors[i].stack = one[1] ? sl_kept_stack(one[0], asid, one[1] < 1024 ? one[1] : 1024, SL_STACK_LOGICAL) : 0;
		if (!event->ancestors[i].stack)
			sl_count(SL_COUNTER_GOROUTINES_LOST);
	}
	sl_submit(event);
	return 0;
}

/* Tells in which goroutine the socket was made, if this is a program of Go's. Returns where its ancestors are, if any. */
__weak __noinline __u64 sl_tell_creator(__u64 cookie, __u32 asid)
{
	struct {
		__u64 parent, gopc, ancestors;
	} origin = {};
	struct sl_socket_goroutine *event;
	__u64 g, goid = 0, created_at = 0;
	struct sl_go *go;

	go = bpf_map_lookup_elem(&sl_gos, &asid);
	if (!go)
		return 0;
	g = sl_goroutine(go);
	if (!g)
		return 0;
	if (bpf_probe_read_user(&goid, sizeof(goid), (void *)(g + go->goid)) || !goid ||
	    bpf_probe_read_user(&origin, sizeof(origin), (void *)(g + go->gopc - 8))) {
		sl_count(SL_COUNTER_GOROUTINES_LOST);
		return 0;
	}
	if (goid != 1) /* main's goroutine is the runtime's doing */
		created_at = sl_kept_stack(g + go->gopc, asid, 1, 0);
	event = sl_reserve(sizeof(*event));
	if (!event)
		return 0;
	sl_fill_header(&event->header, SL_SOCKET_GOROUTINE, sizeof(*event));
	event->cookie = cookie;
	event->goroutine = goid;
	event->parent = go->has_parent ? origin.parent : 0;
	event->created_at = created_at;
	sl_submit(event);
	return origin.ancestors;
}

/* After the socket itself was told of. Not one function within the other: their stacks would add up to too much. */
static __always_inline void sl_tell_goroutine(__u64 cookie, __u32 asid)
{
	__u64 ancestors = sl_tell_creator(cookie, asid);

	if (ancestors)
		sl_tell_ancestors(cookie, asid, ancestors);
}

#endif
