# bash completion for sockleak(8). Install as /usr/share/bash-completion/completions/sockleak, or source it.
# The options of each command are those of `sockleak COMMAND --help`; tests/unit/app/documents_test.cpp compares them.

_sockleak() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command="" word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    # Everything after -- is a command of its own.
    if [[ $word == -- ]] && declare -F _command_offset >/dev/null; then
      _command_offset $((i + 1))
      return
    fi
    [[ -z $command && $word != -* ]] && command=$word
  done

  local filter="state exclude src dst sport dport proto family pid comm cgroup netns cookie inode age ownerless cause"
  filter+=" and or not"
  local output="-o --format --json -T --top -q -v --no-color -h --help"
  local judging="--older -i --interval"
  local session="-p --pid -c --cgroup --container -a --all -t --type --user --no-children -d --duration $judging --settle"
  session+=" --no-snapshot --debuginfod --go-ancestors --hooks --ready-fd $output --record --destroy --yes --dry-run"
  case $prev in
    -p | --pid)
      mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$cur")
      return
      ;;
    -c | --cgroup)
      local root
      for root in /sys/fs/cgroup/unified /sys/fs/cgroup; do
        [[ -e $root/cgroup.controllers ]] || continue
        mapfile -t COMPREPLY < <(cd "$root" && compgen -d -S / -- "$cur")
        compopt -o nospace
        return
      done
      return
      ;;
    -o | --record | --from)
      compopt -o default
      return
      ;;
    -t | --type)
      mapfile -t COMPREPLY < <(compgen -W "tcp udp mptcp sctp raw icmp unix" -- "$cur")
      return
      ;;
    --format)
      mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur")
      return
      ;;
    --user)
      mapfile -t COMPREPLY < <(compgen -u -- "$cur")
      return
      ;;
    --fail-on)
      mapfile -t COMPREPLY < <(compgen -W "leak suspect" -- "$cur")
      return
      ;;
    --only)
      word="abandoned close-wait given-up growth invisible inherited open-at-exit outlived-creator reclaimed-late"
      mapfile -t COMPREPLY < <(compgen -W "$word survivor unaccepted unread" -- "$cur")
      return
      ;;
    -d | --duration | -i | --interval | --settle | --older | --grace | --warmup)
      mapfile -t COMPREPLY < <(compgen -W "10s 30s 1m 5m" -- "$cur")
      return
      ;;
    state | exclude)
      word="established syn-sent syn-recv fin-wait-1 fin-wait-2 time-wait close close-wait last-ack listening closing"
      mapfile -t COMPREPLY < <(compgen -W "$word all connected synchronized bucket big" -- "$cur")
      return
      ;;
    cause)
      word="accept-queue orphan stuck-exit in-flight io-uring-slot io-uring-request blocked-call mapping kernel"
      word+=" mptcp-subflow time-wait request zombie-leader unshared-files hidden unknown"
      mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
      return
      ;;
    proto)
      mapfile -t COMPREPLY < <(compgen -W "tcp udp mptcp sctp raw icmp" -- "$cur")
      return
      ;;
    -T | --top | --go-ancestors | --site | --rate | --ready-fd | --container | --max-leaks | --leak-exit-code | --max-port-use | --max-close-wait | --max-ownerless) return ;;
  esac
  case $command in
    "") word="trace check scan report destroy doctor -h --help --version" ;;
    trace) word="$session --" ;;
    check) word="$session --max-leaks --leak-exit-code --fail-on --only --warmup --" ;;
    scan)
      word="-i --interval -d --duration --max-port-use --max-close-wait --max-ownerless"
      word+=" -o --format --json -l --list -T --top -q -v -h --help"
      [[ $cur == -* ]] || word=$filter
      ;;
    report)
      word="$judging $output"
      if [[ $cur != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -X '!*.slk' -- "$cur")
        compopt -o plusdirs
        return
      fi
      ;;
    destroy)
      word="-p --pid --from --site --dry-run --yes --shutdown --stop-process --grace --rate --even-mine --json -q -v"
      word+=" --no-color -h --help"
      [[ $cur == -* ]] || word=$filter
      ;;
    doctor) word="--json --no-color -h --help" ;;
    *) return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
}

complete -F _sockleak sockleak
