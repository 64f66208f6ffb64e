#!/bin/sh
# split-debug.sh KIND PROGRAM OUTPUT: a copy of PROGRAM whose debug information is where, or in the form that, KIND says.
set -eu
kind=$1 program=$2 output=$3
directory=$(dirname "$output") name=$(basename "$output")
mkdir -p "$directory"
case $kind in
  link) # beside it, by .gnu_debuglink and checksum; no build-id
    objcopy --only-keep-debug --remove-section .note.gnu.build-id "$program" "$directory/$name.debug"
    objcopy --strip-all --remove-section .note.gnu.build-id "$program" "$output"
    (cd "$directory" && objcopy --add-gnu-debuglink="$name.debug" "$name") ;;
  build-id) # elsewhere, by build-id
    id=$(readelf -n "$program" | sed -n 's/.*Build ID: //p')
    tree=$directory/debug-tree/.build-id/$(printf %.2s "$id")
    mkdir -p "$tree"
    objcopy --only-keep-debug "$program" "$tree/${id#??}.debug"
    objcopy --strip-all "$program" "$output" ;;
  mini) # compressed symbol table of the functions in .gnu_debugdata, as Fedora does
    objcopy --strip-debug --remove-section .comment "$program" "$output.symbols"
    xz --force "$output.symbols"
    objcopy --strip-all --add-section .gnu_debugdata="$output.symbols.xz" "$program" "$output" ;;
  symbols) # the symbol table alone
    objcopy --strip-debug "$program" "$output" ;;
  none) # no symbol but those the dynamic loader needs
    objcopy --strip-all "$program" "$output" ;;
  dwz) # as Debian's packages: what is said twice is said once, in partial units
    cp "$program" "$output"
    dwz "$output" ;;
  dwz-common) # in a file of its own (.gnu_debugaltlink), shared by two copies
    cp "$program" "$output"
    cp "$program" "$output.twin"
    dwz -m "$output.common" -M "$(realpath "$output").common" "$output" "$output.twin" ;;
  *) echo "unknown kind $kind" >&2; exit 2 ;;
esac
