# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Configures and builds, shows how far the build is, and says in one sentence what failed. packaging/quickstart.sh and
# tests/run.sh source it.

# why_not_configured LOG: the sentence for a CMake run that failed.
why_not_configured() {
  local missing
  missing=$(sed -nE "s/.*Could NOT find ([A-Za-z0-9_+-]+).*/\1/p
    s/.*Package '([^']+)'(, required by '[^']+')?,? not found.*/\1/p
    s/.*configuration file provided by \"([^\"]+)\".*/\1/p
    s/.*Could not find ([A-Z0-9_]+) using the following names.*/\1/p" "$1" | tail -n 1)
  if [ -n "$missing" ]; then
    printf '%s' "CMake did not find $missing: install its Debian package and name it in packaging/packages.sh " \
      "(the whole log: $1)."
  else
    printf 'CMake could not configure: %s (the whole log: %s).' \
      "$(grep -A 9 -m 1 'CMake Error' "$1" | sed '1d; /Call Stack/,$d; /^--/,$d' | tr -s ' \n' ' ')" "$1"
  fi
}

# why_not_built LOG: the sentence for a build that failed.
why_not_built() {
  if grep -q 'CMake Error' "$1"; then
    why_not_configured "$1"
  elif grep -qE '(^|[ :])Killed' "$1"; then
    printf '%s' "the compiler was ended for want of memory: give this machine 2 GB for each core, " \
      "or build with fewer cores (taskset -c 0 packaging/quickstart.sh)."
  elif grep -q 'No space left' "$1"; then
    printf '%s' "the disk is full: make 3 GB free, then run this again."
  else
    printf 'the build failed at: %s (the whole log: %s).' \
      "$(grep -E -m 1 '(error|undefined symbol)[: ]' "$1" || tail -n 1 "$1")" "$1"
  fi
}

KEYTRAIL_STEP_SECONDS=1.9  # CPU seconds of a build step at -O2, over the three executables (tests/clean_root/README.md)

# build_shown LOG FOLDER TARGET…: ninja, its words to LOG. Shows what is compiled, how far it is and about how long is
# left: on a terminal one line that is rewritten, elsewhere a line every 20 s. The time left is by the number of steps,
# and is right to about a third, since the heavy ones come late.
build_shown() {
  local log="$1" folder="$2" begin=$SECONDS shown=$SECONDS code; shift 2
  : >"$log"
  NINJA_STATUS='[%f/%t] ' ninja -C "$folder" "$@" 2>&1 | while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\ (.*) ]] || continue
    show_step "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]##*/}"
  done
  code=${PIPESTATUS[0]}
  if [ -t 1 ]; then printf '\r\033[K'; fi
  return "$code"
}

show_step() { # DONE TOTAL WHAT
  local left line
  if [ "$1" = 1 ] && [ "$2" -gt 20 ]; then
    printf '  %d steps: about %d minutes when all %d cores are idle and the compile cache is empty\n' "$2" \
      "$(awk "BEGIN {print int($2 * $KEYTRAIL_STEP_SECONDS / $(nproc) / 60 + 0.9)}")" "$(nproc)"
  fi
  if [ ! -t 1 ] && [ $((SECONDS - shown)) -lt 20 ]; then return; fi
  shown=$SECONDS
  left=$(((SECONDS - begin) * ($2 - $1) / $1))
  line=$(printf '  %d of %d, %d %%, about %d:%02d left (%s)' "$1" "$2" $((100 * $1 / $2)) \
    $((left / 60)) $((left % 60)) "${3%.o}")
  if [ -t 1 ]; then printf '\r\033[K%s' "$line"; else printf '%s\n' "$line"; fi
}
