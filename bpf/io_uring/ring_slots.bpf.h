/* SPDX-License-Identifier: MIT OR GPL-2.0
 * The registered files of an io_uring, in the layouts of kernels from 5.16 on. */
#ifndef SOCKLEAK_RING_SLOTS_BPF_H
#define SOCKLEAK_RING_SLOTS_BPF_H

struct io_fixed_file {
	unsigned long file_ptr;
} __attribute__((preserve_access_index));
struct io_file_table___files {
	struct io_fixed_file *files; /* until 3597f2786b68 (6.13) */
} __attribute__((preserve_access_index));
struct io_ring_ctx___files {
	struct io_file_table___files file_table;
	unsigned int nr_user_files;
} __attribute__((preserve_access_index));

struct sl_slot_table {
	void *slots;
	__u32 count;
	__u32 padding;
};

/* Known when the program is loaded, so that no kernel's verifier sees what it has no fields for. */
#define SL_SLOTS_ARE_FILES bpf_core_field_exists(((struct io_file_table___files *)0)->files)

static __always_inline void sl_slots_of_ring(struct sl_slot_table *table, struct io_ring_ctx *ring)
{
	if (SL_SLOTS_ARE_FILES) {
		struct io_ring_ctx___files *older = (struct io_ring_ctx___files *)ring;

		table->slots = BPF_CORE_READ(older, file_table.files);
		table->count = BPF_CORE_READ(older, nr_user_files);
	} else {
		table->slots = BPF_CORE_READ(ring, file_table.data.nodes);
		table->count = BPF_CORE_READ(ring, file_table.data.nr);
	}
}

/* The file in slot `index`, or NULL. */
static __always_inline struct file *sl_file_in_slot(const struct sl_slot_table *table, __u32 index)
{
	__u64 pointer = 0;

	if (!table->slots || index >= table->count)
		return NULL;
	if (SL_SLOTS_ARE_FILES) {
		bpf_probe_read_kernel(&pointer, sizeof(pointer), (char *)table->slots + (__u64)index * sizeof(pointer));
	} else {
		struct io_rsrc_node *node = NULL;

		bpf_probe_read_kernel(&node, sizeof(node), (char *)table->slots + (__u64)index * sizeof(node));
		if (!node)
			return NULL;
		pointer = BPF_CORE_READ(node, file_ptr);
	}
	return (struct file *)(pointer & ~7UL); /* the low bits are flags */
}

#endif
