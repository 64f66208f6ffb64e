#!/usr/bin/env bash
# INNOCENT: an sshd whose listening process ends (SIGTERM, a restart) while sessions stay, which is what sshd wants: each session was
# executed for its connection, reads and writes it, and the listener has closed its own descriptor of it long since.
#   sockleak trace -p PID    no LEAK, no INHERITED, no SUSPECT of 0.50 or more
# Becomes sshd on 127.0.0.1:22 of a network namespace of its own, with keys and files in DIRECTORY; to be run by `unshare --net`. Then
# `nsenter --target PID --net ssh -F DIRECTORY/client session` is a session.
set -euo pipefail
cd "$1"
ip link set lo up
mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f host
ssh-keygen -q -t ed25519 -N '' -f user
cp user.pub authorized
cat >server <<END
ListenAddress 127.0.0.1
HostKey $PWD/host
AuthorizedKeysFile $PWD/authorized
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
END
cat >client <<END
Host session
  HostName 127.0.0.1
  User root
  IdentityFile $PWD/user
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
END
exec "$(command -v sshd || echo /usr/sbin/sshd)" -D -e -f server
