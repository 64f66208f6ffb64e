/* SPDX-License-Identifier: MIT OR GPL-2.0
 * Layer 1: how many there are to a file. */
#ifndef SOCKLEAK_FILE_REFERENCES_BPF_H
#define SOCKLEAK_FILE_REFERENCES_BPF_H

struct file___count {
	atomic_long_t f_count; /* until 90ee6ed776c0 (6.13) */
} __attribute__((preserve_access_index));

/* From 6.13 on the counter holds references - 1, and a dead file a negative number. */
static __always_inline __u64 sl_file_references(const struct file *file)
{
	if (bpf_core_field_exists(file->f_ref)) {
		__s64 count = BPF_CORE_READ(file, f_ref.refcnt.counter);

		return count < 0 ? 0 : (__u64)count + 1;
	}
	return (__u64)BPF_CORE_READ((const struct file___count *)file, f_count.counter);
}

#endif
