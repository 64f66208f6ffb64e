/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 2: the current thread's Python frames.
 *
 * A thread that has released the interpreter's lock (every blocking call does) is still found through its own
 * thread-specific data, as PyGILState_GetThisThreadState() finds it. From its PyThreadState on the frames are a list.
 * Only stacks that run through the interpreter's loop come here: the rule of a frame there says so.
 *
 * Names leave with the first stack that has them: a code object may be gone, and its process too, before user space
 * looks. The walk's state lies in the window, as the native walk's does, and is guarded in the same way; the words that
 * the native walk had read are overwritten.
 */
#ifndef SOCKLEAK_PYTHON_BPF_H
#define SOCKLEAK_PYTHON_BPF_H

#include "base/read.bpf.h"
#include "stacks/window.bpf.h"

/* glibc, x86-64: struct pthread has its first 32 keys' values in itself, { seq, data } each (nptl/descr.h). */
#define SL_PTHREAD_KEYS 0x310
#define SL_PTHREAD_FIRST_KEYS 32

#define SL_PYTHON_FRAME_BYTES 112
#define SL_PYTHON_CODE_BYTES 144
#define SL_PYTHON_CODE_WORD (SL_PYTHON_FRAME_BYTES / 8) /* where in the window the code object begins */

static __always_inline __u64 sl_frame_word(struct sl_window *window, __u32 offset)
{
	return window->words[(offset / 8) & 15];
}

static __always_inline __u64 sl_code_word(struct sl_window *window, __u32 offset)
{
	return window->words[SL_PYTHON_CODE_WORD + ((offset / 8) & 31)];
}

/* The current thread's innermost Python frame; 0 = it runs no Python. */
static __always_inline __u64 sl_python_first(const struct sl_python *python)
{
	struct task_struct *task = sl_task();
	__u64 fs = SL_LOAD(task, thread.fsbase), state = 0, frame = 0;
	__u32 key[2] = {};

	if (bpf_probe_read_user(key, sizeof(key), (void *)python->key) || !key[0] || key[1] >= SL_PTHREAD_FIRST_KEYS)
		return 0;
	if (bpf_probe_read_user(&state, sizeof(state), (void *)(fs + SL_PTHREAD_KEYS + key[1] * 16 + 8)) || !state)
		return 0;
	if (bpf_probe_read_user(&frame, sizeof(frame), (void *)(state + python->thread_frame)))
		return 0;
	if (frame && python->leads_to != SL_PYTHON_NOWHERE &&
	    bpf_probe_read_user(&frame, sizeof(frame), (void *)(frame + python->leads_to)))
		return 0;
	return frame;
}

/* Is the frame in the window one of the interpreter's own, without code, that marks where a loop began? */
static __always_inline int sl_python_is_shim(struct sl_window *window, const struct sl_python *python)
{
	__u64 word;

	if (python->entry != SL_PYTHON_ENTRY_OWNER)
		return 0;
	word = sl_frame_word(window, python->frame_entry);
	return ((word >> ((python->frame_entry & 7) * 8)) & 0xff) >= SL_PYTHON_OWNER_C;
}

static __always_inline int sl_python_is_entry(struct sl_window *window, const struct sl_python *python)
{
	if (python->entry == SL_PYTHON_ENTRY_ALWAYS)
		return 1;
	if (python->entry != SL_PYTHON_ENTRY_FLAG)
		return 0;
	return (sl_frame_word(window, python->frame_entry) >> ((python->frame_entry & 7) * 8)) & 1;
}

/* Notes the frame at window->python_frame and goes to its caller. Nonzero: window->python_end says how it ended. */
__weak __noinline int sl_python_step(__u64 owner)
{
	struct sl_window *window = sl_this_window();
	__u64 code, previous, instruction, check, bytes;
	struct sl_python_frame *noted;
	struct sl_python *python;
	__u32 asid;

	if (!window || window->owner != owner)
		return 1;
	asid = window->walk.asid;
	python = bpf_map_lookup_elem(&sl_pythons, &asid);
	if (!python)
		return 1;
	window->python_end = SL_PYTHON_BROKEN;
	bytes = python->frame_bytes;
	SL_OPAQUE(bytes);
	if (bytes > SL_PYTHON_FRAME_BYTES)
		return 1;
	if (bpf_probe_read_user(window->words, bytes, (void *)window->python_frame))
		return 1;
	previous = sl_frame_word(window, python->frame_previous);
	if (sl_python_is_shim(window, python)) {
		if (window->python_count)
			window->python[(window->python_count - 1) & (SL_PYTHON_FRAMES - 1)].place |= SL_PYTHON_ENTRY;
	} else {
		code = sl_frame_word(window, python->frame_code) & ~7ull; /* since 3.14 the low bits are a tag (_PyStackRef) */
		if (bpf_probe_read_user(window->words + SL_PYTHON_CODE_WORD, SL_PYTHON_CODE_BYTES, (void *)code))
			return 1;
		if (sl_code_word(window, 8) != python->code_type)
			return 1;
		instruction = sl_frame_word(window, python->frame_instruction);
		if (python->code_instructions)
			instruction -= code + python->code_instructions;
		else
			instruction = (__u32)instruction * python->unit;
		check = sl_mix(sl_code_word(window, python->code_first_line), sl_code_word(window, python->code_name));
		check = sl_mix(check, sl_code_word(window, python->code_lines));
		noted = &window->python[window->python_count & (SL_PYTHON_FRAMES - 1)];
		noted->code = code;
		noted->check = (__u32)(check >> 32);
		noted->place = (__u32)instruction & ~SL_PYTHON_ENTRY;
		if (sl_python_is_entry(window, python))
			noted->place |= SL_PYTHON_ENTRY;
		window->python_count++;
		window->hash = sl_mix(window->hash, code ^ (instruction << 48));
		window->hash = sl_mix(window->hash, check);
	}
	window->python_frame = previous;
	if (window->owner != owner)
		return 1;
	window->python_end = previous ? SL_PYTHON_CUT : SL_PYTHON_WHOLE;
	return !previous;
}

/* Collects the Python frames behind the native ones, if there is an interpreter. */
static __always_inline void sl_python_walk(struct sl_window *window, __u64 owner)
{
	__u32 asid = window->walk.asid;
	struct sl_python *python = bpf_map_lookup_elem(&sl_pythons, &asid);
	int i;

	if (!python)
		return;
	window->python_frame = sl_python_first(python);
	if (!window->python_frame)
		return;
	for (i = 0; i < 2 * SL_PYTHON_FRAMES && window->python_count < SL_PYTHON_FRAMES; i++) {
		if (sl_python_step(owner))
			break;
	}
	window->hash = sl_mix(window->hash, window->python_end);
	if (window->python_end == SL_PYTHON_BROKEN && window->owner == owner) /* else it is tried again */
		sl_count(SL_COUNTER_PYTHON_BROKEN);
}

/* A str object's header and as many of its characters as there is room for. A character has up to four bytes; where so
 * many cannot be read, it has one. */
static __always_inline void sl_python_text(__u8 *to, const __u32 room, __u64 object)
{
	__u64 length = 0, bytes;

	if (bpf_probe_read_user(&length, sizeof(length), (void *)(object + 16)) || length > 4096)
		return;
	bytes = 72 + 4 * length;
	SL_OPAQUE(bytes);
	if (bytes > room)
		bytes = room;
	if (!bpf_probe_read_user(to, bytes, (void *)object))
		return;
	bytes = 56 + length;
	SL_OPAQUE(bytes);
	if (bytes > room)
		bytes = room;
	bpf_probe_read_user(to, bytes, (void *)object);
}

static __always_inline int sl_python_ship(const struct sl_python *python, const struct sl_python_frame *frame,
					  __u32 asid, __u64 key, __u64 length, const __u32 room)
{
	struct {
		struct sl_python_code head;
		__u8 lines[];
	} *record = bpf_ringbuf_reserve(&sl_stacks, sizeof(struct sl_python_code) + room, 0);
	__u64 pointers[2] = {}, lines = 0;
	__s32 first_line = 0;

	if (!record)
		return -1;
	sl_fill_header(&record->head.header, SL_PYTHON_CODE, sizeof(struct sl_python_code) + room);
	record->head.key = key;
	record->head.code = frame->code;
	record->head.check = frame->check;
	record->head.asid = asid;
	__builtin_memset(record->head.name, 0, sizeof(record->head.name));
	__builtin_memset(record->head.file, 0, sizeof(record->head.file));
	bpf_probe_read_user(&first_line, sizeof(first_line), (void *)(frame->code + python->code_first_line));
	bpf_probe_read_user(&pointers[0], sizeof(pointers[0]), (void *)(frame->code + python->code_name));
	bpf_probe_read_user(&pointers[1], sizeof(pointers[1]), (void *)(frame->code + python->code_file));
	bpf_probe_read_user(&lines, sizeof(lines), (void *)(frame->code + python->code_lines));
	record->head.first_line = first_line;
	sl_python_text(record->head.name, SL_PYTHON_NAME, pointers[0]);
	sl_python_text(record->head.file, SL_PYTHON_FILE, pointers[1]);
	SL_OPAQUE(length);
	if (length > room)
		length = room;
	if (bpf_probe_read_user(record->lines, length, (void *)(lines + 32))) /* bytes: the data begin at 32 */
		length = 0;
	record->head.lines = length;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Sends the code object of frame `index` unless that was done before. */
__weak __noinline int sl_python_send_code(__u64 owner, __u32 index)
{
	struct sl_window *window = sl_this_window();
	struct sl_python_frame frame;
	struct sl_python *python;
	__u64 key, lines = 0, length = 0;
	__u32 asid, one = 1;
	int error;

	if (!window)
		return 0;
	asid = window->walk.asid;
	python = bpf_map_lookup_elem(&sl_pythons, &asid);
	frame = window->python[index & (SL_PYTHON_FRAMES - 1)];
	if (!python || window->owner != owner)
		return 0;
	/* neither a ticket nor a stack's hash: their low bits are 0 and 1 */
	key = (sl_mix(sl_mix(0x636f6465ull ^ asid, frame.code), frame.check) & ~15ull) | 2;
	if (bpf_map_lookup_elem(&sl_seen, &key))
		return 0;
	bpf_probe_read_user(&lines, sizeof(lines), (void *)(frame.code + python->code_lines));
	bpf_probe_read_user(&length, sizeof(length), (void *)(lines + 16)); /* ob_size */
	if (length <= 512)
		error = sl_python_ship(python, &frame, asid, key, length, 512);
	else if (length <= 4096)
		error = sl_python_ship(python, &frame, asid, key, length, 4096);
	else
		error = sl_python_ship(python, &frame, asid, key, length, 32768);
	if (error)
		sl_count(SL_COUNTER_PYTHON_LOST); /* the next new stack that has it tries again */
	else
		bpf_map_update_elem(&sl_seen, &key, &one, BPF_ANY);
	return 0;
}

/* Sends the Python frames of the stack that is about to be sent as `stack`. */
static __always_inline void sl_python_send(struct sl_window *window, __u64 owner, __u64 stack)
{
	struct sl_python_stack *record;
	__u32 i;

	if (!window->python_count)
		return;
	for (i = 0; i < SL_PYTHON_FRAMES; i++) {
		if (i >= window->python_count)
			break;
		sl_python_send_code(owner, i);
	}
	record = bpf_ringbuf_reserve(&sl_stacks, sizeof(*record), 0);
	if (!record) {
		sl_count(SL_COUNTER_PYTHON_LOST);
		return;
	}
	sl_fill_header(&record->header, SL_PYTHON_STACK, sizeof(*record));
	record->stack = stack;
	record->asid = window->walk.asid;
	record->count = window->python_count;
	record->end = window->python_end;
	record->padding = 0;
	bpf_probe_read_kernel(record->frames, sizeof(record->frames), window->python);
	if (window->owner != owner) {
		bpf_ringbuf_discard(record, 0);
		return;
	}
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

#endif
