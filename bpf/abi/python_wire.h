/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * CPython's frames: what user space tells the kernel side of an interpreter, and the records that come back. Rules as in
 * wire.h; these records are never recorded, so they have no version.
 */
#ifndef SOCKLEAK_PYTHON_WIRE_H
#define SOCKLEAK_PYTHON_WIRE_H

#include "wire.h"

#define SL_PYTHON_STACK 24 /* the Python frames of the SL_STACK_* record that follows */
#define SL_PYTHON_CODE 25 /* a code object that was not seen before; sent before the first stack that has it */

#define SL_PYTHON_FRAMES 64
#define SL_PYTHON_NAME 256 /* of a str object's bytes: header and characters */
#define SL_PYTHON_FILE 512

/* In sl_rule.kind: the frame is the interpreter's, so this stack has Python frames too. */
#define SL_RULE_PYTHON 0x80
#define SL_RULE_KINDS 0x7f

/* How a walk along the Python frames ended. */
#define SL_PYTHON_WHOLE 1
#define SL_PYTHON_CUT 2 /* SL_PYTHON_FRAMES reached */
#define SL_PYTHON_BROKEN 3 /* unreadable, or something that is no code object */

/* How to tell which Python frame a call of the interpreter's loop began with. */
#define SL_PYTHON_ENTRY_ALWAYS 0 /* up to 3.10: each has a loop of its own */
#define SL_PYTHON_ENTRY_FLAG 1 /* 3.11: it says so */
#define SL_PYTHON_ENTRY_OWNER 2 /* since 3.12: an additional frame lies below it, owned by the C stack */
#define SL_PYTHON_OWNER_C 3 /* FRAME_OWNED_BY_CSTACK and above, Include/internal/pycore_frame.h */

/* One interpreter in one address space: addresses, and offsets in CPython's structures. */
struct sl_python {
	__u64 key; /* _PyRuntime's autoTSSkey: { int is_initialized; pthread_key_t key; } */
	__u64 code_type; /* PyCode_Type */
	__u16 thread_frame; /* PyThreadState: the current frame, or what leads to it */
	__u16 leads_to; /* there; SL_PYTHON_NOWHERE = thread_frame is the frame */
	__u16 frame_bytes; /* of a frame to read, at most 112 */
	__u16 frame_code;
	__u16 frame_previous;
	__u16 frame_instruction;
	__u16 frame_entry; /* the byte that says it: is_entry or owner */
	__u16 code_instructions; /* in the code object; 0: frame_instruction is a number, not an address */
	__u16 code_first_line; /* these lie in a code object's first 144 bytes */
	__u16 code_file;
	__u16 code_name;
	__u16 code_lines;
	__u8 entry; /* SL_PYTHON_ENTRY_* */
	__u8 unit; /* bytes per instruction number */
	__u8 padding[6];
};
#define SL_PYTHON_NOWHERE 0xffff

struct sl_python_frame {
	__u64 code; /* address of the code object */
	__u32 check; /* tells a code object from an earlier one at the same address */
	__u32 place; /* byte offset of the instruction; SL_PYTHON_ENTRY: the interpreter's loop began with this frame */
};
#define SL_PYTHON_ENTRY 0x80000000u

struct sl_python_stack {
	struct sl_header header;
	__u64 stack; /* as in the SL_STACK_* record */
	__u32 asid;
	__u16 count;
	__u8 end; /* SL_PYTHON_WHOLE ... */
	__u8 padding;
	struct sl_python_frame frames[SL_PYTHON_FRAMES]; /* innermost first */
};

/* The line table's `lines` bytes follow the struct. */
struct sl_python_code {
	struct sl_header header;
	__u64 key; /* under which the kernel side remembers that it was sent */
	__u64 code;
	__u32 check;
	__u32 asid;
	__s32 first_line;
	__u32 lines;
	__u8 name[SL_PYTHON_NAME]; /* a str object as it lies in memory; zeros = not readable */
	__u8 file[SL_PYTHON_FILE];
};

SL_ASSERT_SIZE(sl_python, 48);
SL_ASSERT_SIZE(sl_python_frame, 16);
SL_ASSERT_SIZE(sl_python_stack, 1072);
SL_ASSERT_SIZE(sl_python_code, 832);

#endif
