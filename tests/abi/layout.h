/* Every struct of bpf/abi/wire.h and bpf/abi/config.h with its members in order. Compiles as BPF C, where it makes one global
 * per struct (clang describes in BTF only what is used), and as C++, where it makes the table to compare with. */
#ifndef SOCKLEAK_ABI_LAYOUT_H
#define SOCKLEAK_ABI_LAYOUT_H

/* clang-format off */
#define SL_ABI_LAYOUT(STRUCT, MEMBER)                                                                         \
  STRUCT(sl_rule)                                                                                             \
    MEMBER(sl_rule, cfa_offset) MEMBER(sl_rule, bp_offset) MEMBER(sl_rule, kind) MEMBER(sl_rule, source)      \
  STRUCT(sl_header)                                                                                           \
    MEMBER(sl_header, size) MEMBER(sl_header, type) MEMBER(sl_header, flags) MEMBER(sl_header, ktime_ns)   \
    MEMBER(sl_header, tgid) MEMBER(sl_header, tid) MEMBER(sl_header, start_ns)                                \
  STRUCT(sl_tuple)                                                                                            \
    MEMBER(sl_tuple, local) MEMBER(sl_tuple, remote) MEMBER(sl_tuple, local_port)                             \
    MEMBER(sl_tuple, remote_port) MEMBER(sl_tuple, family) MEMBER(sl_tuple, type) MEMBER(sl_tuple, protocol)  \
  STRUCT(sl_uses)                                                                                             \
    MEMBER(sl_uses, since_ns) MEMBER(sl_uses, first_ns) MEMBER(sl_uses, last_ns)                              \
    MEMBER(sl_uses, longest_gap_ns) MEMBER(sl_uses, bursts) MEMBER(sl_uses, padding)                          \
  STRUCT(sl_facts)                                                                                            \
    MEMBER(sl_facts, last_sent_ns) MEMBER(sl_facts, last_received_ns) MEMBER(sl_facts, last_segment_ns)       \
    MEMBER(sl_facts, uses) MEMBER(sl_facts, unread) MEMBER(sl_facts, unacknowledged)                          \
    MEMBER(sl_facts, flags) MEMBER(sl_facts, waiter) MEMBER(sl_facts, padding)                                \
  STRUCT(sl_socket_created)                                                                                   \
    MEMBER(sl_socket_created, header) MEMBER(sl_socket_created, cookie) MEMBER(sl_socket_created, stack)      \
    MEMBER(sl_socket_created, netns) MEMBER(sl_socket_created, stack_end) MEMBER(sl_socket_created, tuple)    \
    MEMBER(sl_socket_created, comm)                                                                           \
  STRUCT(sl_socket_accepted)                                                                                  \
    MEMBER(sl_socket_accepted, header) MEMBER(sl_socket_accepted, cookie)                                     \
    MEMBER(sl_socket_accepted, listener_cookie) MEMBER(sl_socket_accepted, stack)                             \
    MEMBER(sl_socket_accepted, netns) MEMBER(sl_socket_accepted, stack_end) MEMBER(sl_socket_accepted, fd)    \
    MEMBER(sl_socket_accepted, padding) MEMBER(sl_socket_accepted, tuple) MEMBER(sl_socket_accepted, comm)    \
  STRUCT(sl_state_changed)                                                                                    \
    MEMBER(sl_state_changed, header) MEMBER(sl_state_changed, cookie)                                         \
    MEMBER(sl_state_changed, listener_cookie) MEMBER(sl_state_changed, netns)                                 \
    MEMBER(sl_state_changed, old_state) MEMBER(sl_state_changed, new_state)                                   \
    MEMBER(sl_state_changed, padding) MEMBER(sl_state_changed, tuple)                                         \
  STRUCT(sl_socket_closed)                                                                                    \
    MEMBER(sl_socket_closed, header) MEMBER(sl_socket_closed, cookie) MEMBER(sl_socket_closed, stack)         \
    MEMBER(sl_socket_closed, stack_end) MEMBER(sl_socket_closed, how) MEMBER(sl_socket_closed, state)         \
    MEMBER(sl_socket_closed, padding) MEMBER(sl_socket_closed, comm)                                          \
    MEMBER(sl_socket_closed, facts)                                                                           \
  STRUCT(sl_touch)                                                                                            \
    MEMBER(sl_touch, ktime_ns) MEMBER(sl_touch, start_ns) MEMBER(sl_touch, stack) MEMBER(sl_touch, tgid)      \
    MEMBER(sl_touch, tid) MEMBER(sl_touch, result) MEMBER(sl_touch, stack_end) MEMBER(sl_touch, what)         \
    MEMBER(sl_touch, padding)                                                                                 \
  STRUCT(sl_socket_touched)                                                                                   \
    MEMBER(sl_socket_touched, header) MEMBER(sl_socket_touched, cookie) MEMBER(sl_socket_touched, touch)      \
  STRUCT(sl_socket_goroutine)                                                                                 \
    MEMBER(sl_socket_goroutine, header) MEMBER(sl_socket_goroutine, cookie)                                   \
    MEMBER(sl_socket_goroutine, goroutine) MEMBER(sl_socket_goroutine, parent)                                \
    MEMBER(sl_socket_goroutine, created_at)                                                                   \
  STRUCT(sl_ancestor)                                                                                         \
    MEMBER(sl_ancestor, goroutine) MEMBER(sl_ancestor, stack)                                                 \
  STRUCT(sl_goroutine_ancestors)                                                                              \
    MEMBER(sl_goroutine_ancestors, header) MEMBER(sl_goroutine_ancestors, cookie)                             \
    MEMBER(sl_goroutine_ancestors, count) MEMBER(sl_goroutine_ancestors, exact)                               \
    MEMBER(sl_goroutine_ancestors, padding) MEMBER(sl_goroutine_ancestors, ancestors)                         \
  STRUCT(sl_socket_waited)                                                                                    \
    MEMBER(sl_socket_waited, header) MEMBER(sl_socket_waited, cookie) MEMBER(sl_socket_waited, stack)         \
  STRUCT(sl_socket_named)                                                                                     \
    MEMBER(sl_socket_named, header) MEMBER(sl_socket_named, cookie) MEMBER(sl_socket_named, peer)             \
    MEMBER(sl_socket_named, length) MEMBER(sl_socket_named, peer_length) MEMBER(sl_socket_named, padding)     \
    MEMBER(sl_socket_named, path) MEMBER(sl_socket_named, peer_path)                                          \
  STRUCT(sl_socket_destroyed)                                                                                 \
    MEMBER(sl_socket_destroyed, header) MEMBER(sl_socket_destroyed, cookie)                                   \
  STRUCT(sl_process_forked)                                                                                   \
    MEMBER(sl_process_forked, header) MEMBER(sl_process_forked, child_start_ns)                               \
    MEMBER(sl_process_forked, child_tgid) MEMBER(sl_process_forked, asid) MEMBER(sl_process_forked, comm)     \
  STRUCT(sl_process_execed)                                                                                   \
    MEMBER(sl_process_execed, header) MEMBER(sl_process_execed, asid) MEMBER(sl_process_execed, padding)      \
    MEMBER(sl_process_execed, comm)                                                                           \
  STRUCT(sl_process_exited)                                                                                   \
    MEMBER(sl_process_exited, header) MEMBER(sl_process_exited, exit_code)                                    \
    MEMBER(sl_process_exited, padding)                                                                        \
  STRUCT(sl_process_freed)                                                                                    \
    MEMBER(sl_process_freed, header)                                                                          \
  STRUCT(sl_descriptor_received)                                                                              \
    MEMBER(sl_descriptor_received, header) MEMBER(sl_descriptor_received, cookie)                             \
    MEMBER(sl_descriptor_received, fd) MEMBER(sl_descriptor_received, how)                                    \
    MEMBER(sl_descriptor_received, padding)                                                                   \
  STRUCT(sl_stack_seen)                                                                                       \
    MEMBER(sl_stack_seen, header) MEMBER(sl_stack_seen, stack) MEMBER(sl_stack_seen, asid)                    \
    MEMBER(sl_stack_seen, count) MEMBER(sl_stack_seen, end) MEMBER(sl_stack_seen, padding)                    \
    MEMBER(sl_stack_seen, frames)                                                                             \
  STRUCT(sl_stack_missed)                                                                                     \
    MEMBER(sl_stack_missed, header) MEMBER(sl_stack_missed, stack) MEMBER(sl_stack_missed, pc)                \
    MEMBER(sl_stack_missed, sp) MEMBER(sl_stack_missed, bp) MEMBER(sl_stack_missed, asid)                     \
    MEMBER(sl_stack_missed, length) MEMBER(sl_stack_missed, wanted) MEMBER(sl_stack_missed, count)            \
    MEMBER(sl_stack_missed, interrupted) MEMBER(sl_stack_missed, padding) MEMBER(sl_stack_missed, frames)     \
  STRUCT(sl_snapshot_socket)                                                                                  \
    MEMBER(sl_snapshot_socket, header) MEMBER(sl_snapshot_socket, cookie) MEMBER(sl_snapshot_socket, inode)   \
    MEMBER(sl_snapshot_socket, rx_bytes) MEMBER(sl_snapshot_socket, tx_bytes)                                 \
    MEMBER(sl_snapshot_socket, netns) MEMBER(sl_snapshot_socket, state) MEMBER(sl_snapshot_socket, dead)      \
    MEMBER(sl_snapshot_socket, padding) MEMBER(sl_snapshot_socket, tuple)                                     \
    MEMBER(sl_snapshot_socket, facts)                                                                         \
  STRUCT(sl_snapshot_holder)                                                                                  \
    MEMBER(sl_snapshot_holder, header) MEMBER(sl_snapshot_holder, cookie) MEMBER(sl_snapshot_holder, inode)   \
    MEMBER(sl_snapshot_holder, rx_bytes) MEMBER(sl_snapshot_holder, tx_bytes)                                 \
    MEMBER(sl_snapshot_holder, listener_cookie) MEMBER(sl_snapshot_holder, netns)                             \
    MEMBER(sl_snapshot_holder, fd) MEMBER(sl_snapshot_holder, state)                                          \
    MEMBER(sl_snapshot_holder, close_on_exec) MEMBER(sl_snapshot_holder, via)                                 \
    MEMBER(sl_snapshot_holder, padding) MEMBER(sl_snapshot_holder, tuple)                                     \
    MEMBER(sl_snapshot_holder, comm) MEMBER(sl_snapshot_holder, facts)                                        \
  STRUCT(sl_snapshot_mark)                                                                                    \
    MEMBER(sl_snapshot_mark, header) MEMBER(sl_snapshot_mark, complete) MEMBER(sl_snapshot_mark, padding)     \
  STRUCT(sl_snapshot_cause)                                                                                   \
    MEMBER(sl_snapshot_cause, header) MEMBER(sl_snapshot_cause, cookie) MEMBER(sl_snapshot_cause, waiting)    \
    MEMBER(sl_snapshot_cause, backlog) MEMBER(sl_snapshot_cause, cause) MEMBER(sl_snapshot_cause, ownerless)  \
    MEMBER(sl_snapshot_cause, padding) MEMBER(sl_snapshot_cause, evidence)                                    \
  STRUCT(sl_snapshot_limit)                                                                                   \
    MEMBER(sl_snapshot_limit, header) MEMBER(sl_snapshot_limit, used) MEMBER(sl_snapshot_limit, limit)        \
    MEMBER(sl_snapshot_limit, comm)                                                                           \
  STRUCT(sl_snapshot_thread) MEMBER(sl_snapshot_thread, header)                                               \
  STRUCT(sl_session_mark)                                                                                     \
    MEMBER(sl_session_mark, header) MEMBER(sl_session_mark, status) MEMBER(sl_session_mark, padding)          \
  STRUCT(sl_unix_socket)                                                                                      \
    MEMBER(sl_unix_socket, born_ns) MEMBER(sl_unix_socket, netns) MEMBER(sl_unix_socket, look)                \
    MEMBER(sl_unix_socket, leaving) MEMBER(sl_unix_socket, descriptors) MEMBER(sl_unix_socket, uses)          \
  STRUCT(sl_config)                                                                                           \
    MEMBER(sl_config, follow_children) MEMBER(sl_config, copy_stacks) MEMBER(sl_config, cpus)                 \
    MEMBER(sl_config, event_ring_bytes) MEMBER(sl_config, scope) MEMBER(sl_config, own_tgid)                  \
    MEMBER(sl_config, cgroup_level) MEMBER(sl_config, types) MEMBER(sl_config, cgroup_id)                     \
    MEMBER(sl_config, unix_calls) MEMBER(sl_config, tick_ns) MEMBER(sl_config, secret)                        \
    MEMBER(sl_config, wakers)                                                                                 \
  STRUCT(sl_go)                                                                                               \
    MEMBER(sl_go, g_from_fs) MEMBER(sl_go, g_m) MEMBER(sl_go, m_curg) MEMBER(sl_go, goid)                     \
    MEMBER(sl_go, gopc) MEMBER(sl_go, has_parent) MEMBER(sl_go, padding)                                      \
  STRUCT(sl_go_file)                                                                                          \
    MEMBER(sl_go_file, inode) MEMBER(sl_go_file, device)                                                      \
  STRUCT(sl_process_joined)                                                                                   \
    MEMBER(sl_process_joined, header) MEMBER(sl_process_joined, asid) MEMBER(sl_process_joined, padding)      \
  STRUCT(sl_python)                                                                                           \
    MEMBER(sl_python, key) MEMBER(sl_python, code_type) MEMBER(sl_python, thread_frame)                       \
    MEMBER(sl_python, leads_to) MEMBER(sl_python, frame_bytes) MEMBER(sl_python, frame_code)                  \
    MEMBER(sl_python, frame_previous) MEMBER(sl_python, frame_instruction) MEMBER(sl_python, frame_entry)     \
    MEMBER(sl_python, code_instructions) MEMBER(sl_python, code_first_line) MEMBER(sl_python, code_file)      \
    MEMBER(sl_python, code_name) MEMBER(sl_python, code_lines) MEMBER(sl_python, entry)                       \
    MEMBER(sl_python, unit) MEMBER(sl_python, padding)                                                        \
  STRUCT(sl_python_frame)                                                                                     \
    MEMBER(sl_python_frame, code) MEMBER(sl_python_frame, check) MEMBER(sl_python_frame, place)               \
  STRUCT(sl_python_stack)                                                                                     \
    MEMBER(sl_python_stack, header) MEMBER(sl_python_stack, stack) MEMBER(sl_python_stack, asid)              \
    MEMBER(sl_python_stack, count) MEMBER(sl_python_stack, end) MEMBER(sl_python_stack, padding)              \
    MEMBER(sl_python_stack, frames)                                                                           \
  STRUCT(sl_python_code)                                                                                      \
    MEMBER(sl_python_code, header) MEMBER(sl_python_code, key) MEMBER(sl_python_code, code)                   \
    MEMBER(sl_python_code, check) MEMBER(sl_python_code, asid) MEMBER(sl_python_code, first_line)             \
    MEMBER(sl_python_code, lines) MEMBER(sl_python_code, name) MEMBER(sl_python_code, file)                   \
  STRUCT(sl_java_frame)                                                                                       \
    MEMBER(sl_java_frame, method) MEMBER(sl_java_frame, bytecode) MEMBER(sl_java_frame, frame)                \
    MEMBER(sl_java_frame, padding)                                                                            \
  STRUCT(sl_java_stack)                                                                                       \
    MEMBER(sl_java_stack, header) MEMBER(sl_java_stack, stack) MEMBER(sl_java_stack, asid)                    \
    MEMBER(sl_java_stack, count) MEMBER(sl_java_stack, frames)
/* clang-format on */

#endif
