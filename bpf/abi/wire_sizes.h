/* SPDX-License-Identifier: MIT OR GPL-2.0
 *
 * The sizes of the structs of wire.h, which includes this: the same on both sides.
 */
#ifndef SOCKLEAK_WIRE_SIZES_H
#define SOCKLEAK_WIRE_SIZES_H

#if defined(__cplusplus)
#define SL_ASSERT_SIZE(type, bytes) static_assert(sizeof(struct type) == (bytes), #type)
#else
#define SL_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
#endif
SL_ASSERT_SIZE(sl_rule, 8);
SL_ASSERT_SIZE(sl_header, 32);
SL_ASSERT_SIZE(sl_tuple, 40);
SL_ASSERT_SIZE(sl_uses, 40);
SL_ASSERT_SIZE(sl_facts, 80);
SL_ASSERT_SIZE(sl_socket_created, 112);
SL_ASSERT_SIZE(sl_socket_accepted, 128);
SL_ASSERT_SIZE(sl_state_changed, 96);
SL_ASSERT_SIZE(sl_socket_closed, 152);
SL_ASSERT_SIZE(sl_socket_destroyed, 40);
SL_ASSERT_SIZE(sl_touch, 48);
SL_ASSERT_SIZE(sl_socket_touched, 88);
SL_ASSERT_SIZE(sl_process_forked, 64);
SL_ASSERT_SIZE(sl_process_execed, 56);
SL_ASSERT_SIZE(sl_process_exited, 40);
SL_ASSERT_SIZE(sl_process_freed, 32);
SL_ASSERT_SIZE(sl_descriptor_received, 48);
SL_ASSERT_SIZE(sl_socket_goroutine, 64);
SL_ASSERT_SIZE(sl_ancestor, 16);
SL_ASSERT_SIZE(sl_goroutine_ancestors, 208);
SL_ASSERT_SIZE(sl_socket_waited, 48);
SL_ASSERT_SIZE(sl_socket_named, 272);
SL_ASSERT_SIZE(sl_stack_seen, 1064);
SL_ASSERT_SIZE(sl_stack_missed, 1104);
SL_ASSERT_SIZE(sl_snapshot_socket, 192);
SL_ASSERT_SIZE(sl_snapshot_holder, 224);
SL_ASSERT_SIZE(sl_snapshot_mark, 40);
SL_ASSERT_SIZE(sl_snapshot_cause, 272);
SL_ASSERT_SIZE(sl_snapshot_limit, 64);
SL_ASSERT_SIZE(sl_snapshot_thread, 32);
SL_ASSERT_SIZE(sl_session_mark, 40);

#endif
