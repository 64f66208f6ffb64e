# Sourced by newer-go and newer-python: packages of another Debian suite, which are unpacked and never installed. apt gets
# its own sources and state, so that this machine's packages are never touched.
# shellcheck shell=bash

complain() { echo "$(basename "$0"): $1" >&2; exit 1; }

# open_suite SUITE: reads its lists into $work, a directory that goes away with the script.
open_suite() {
  local mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  # shellcheck disable=SC2016 # apt expands these
  mirror=${SOCKLEAK_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "Debian" { print $2; exit }')}
  [ -n "$mirror" ] || complain "no Debian mirror among apt's sources; set SOCKLEAK_DEBIAN_MIRROR"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/root"
  touch "$work/status"
  echo "deb [signed-by=$keyring] $mirror $1 main" >"$work/sources.list"
  apt=(-o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/lists"
    -o "Dir::State::status=$work/status" -o "Dir::Cache=$work" -o Acquire::Languages=none -o APT::Sandbox::User=root)
  apt-get "${apt[@]}" -qq update >"$work/log" 2>&1 || complain "apt-get update: $(grep -m1 ^E: "$work/log")"
}

# package_names PREFIX PATTERN: those of the suite, the newest last.
package_names() { apt-cache "${apt[@]}" pkgnames "$1" | grep -E "$2" | sort -V; }

# version_of PACKAGE
version_of() { apt-cache "${apt[@]}" show "$1" | awk '$1 == "Version:" { print $2; exit }'; }

# unpack PACKAGE...: into $work/root.
unpack() {
  (cd "$work/archives" && apt-get "${apt[@]}" -qq download "$@" >"$work/log" 2>&1) ||
    complain "apt-get download: $(grep -m1 ^E: "$work/log")"
  local file
  for file in "$work"/archives/*.deb; do dpkg-deb -x "$file" "$work/root"; done
}
