/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * Go's goroutines: what user space tells the kernel side of a program made by Go. Rules as in wire.h; never recorded, so
 * it has no version.
 */
#ifndef SOCKLEAK_GO_WIRE_H
#define SOCKLEAK_GO_WIRE_H

#include "wire.h"

/* Offsets in struct g and struct m of src/runtime/runtime2.go; which thread runs which g is in thread-local storage. */
struct sl_go {
	__s32 g_from_fs; /* where g's address is, from the FS base on; 0 = not known: r14 holds it, mostly */
	__u16 g_m; /* g: its thread's m */
	__u16 m_curg; /* m: the goroutine that runs, also while its thread is on another stack */
	__u16 goid; /* g */
	__u16 gopc; /* g: the `go` statement's return address; behind it lie the ancestors */
	__u8 has_parent; /* the parent's id lies before gopc (since Go 1.21) */
	__u8 padding[3];
};

/* A program's file, as the kernel knows it while it executes it. */
struct sl_go_file {
	__u64 inode;
	__u64 device;
};

SL_ASSERT_SIZE(sl_go, 16);
SL_ASSERT_SIZE(sl_go_file, 16);

#endif
