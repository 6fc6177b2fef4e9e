#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds and runs all tests: sudo tests/run.sh [--quick] [--full] [--only PATTERN] [--build DIR] [--no-install]
#   --quick        those without root, without sanitizer builds and clang-tidy
#   --full         all twins of the corpus, all kernels, dockerd, Podman, the static analyzer over every file: hours
#   --only PATTERN of the unit tests and the system cases those whose name holds PATTERN; nothing else
#   --build DIR    default: build
#   --no-install   install no packages; one that is missing is named
# Prints each skip with its reason; the last line is "N passed, N failed, N skipped"; exit 0 only when nothing failed.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# shellcheck source=packaging/packages.sh
. packaging/packages.sh
# shellcheck source=packaging/build.sh
. packaging/build.sh

quick=no full="" only="" build=build install=yes
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) quick=yes ;;
    --full) full=--full ;;
    --only) only="${2:?--only wants a pattern}"; shift ;;
    --build) build="${2:?--build wants a folder}"; shift ;;
    --no-install) install=no ;;
    -h | --help) sed -n '3,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "tests/run.sh: unknown option $1 (try --help)" >&2; exit 2 ;;
  esac
  shift
done

passed=0 failed=0 skipped=0
jobs=$(nproc) ticks=$(getconf CLK_TCK)
logs=$(mktemp -d /tmp/keytrail-tests-XXXXXXXX)
beside=""  # the session of begin_beside
trap 'rm -rf "$logs"; [ -z "$beside" ] || kill -- "-$beside"' EXIT
trap 'echo "interrupted"; exit 130' INT TERM

say() { printf '%s\n' "$*"; }
skip() { skipped=$((skipped + 1)); say "skip  $1: $2"; }
add() { passed=$((passed + $1)); failed=$((failed + $2)); skipped=$((skipped + $3)); }

# now: "SECONDS CPU-SECONDS", the latter of all children that have ended; spent NOW: what has gone since then.
now() { local stat; read -ra stat <"/proc/$$/stat"; printf '%d %d' "$SECONDS" $(((stat[15] + stat[16]) / ticks)); }
spent() { set -- $1 $(now); printf '%d s, %d s of CPU' $(($3 - $1)) $(($4 - $2)); }

# step NAME COMMAND…: one test; its output is shown only when it fails.
step() {
  local name="$1" begin; begin=$(now); shift
  if "$@" >"$logs/step" 2>&1; then ended "$name" "$begin"; else broken "$name" "$begin"; fi
}
ended() { add 1 0 0; say "ok    $1 ($(spent "$2"))"; }
broken() {
  add 0 1 0
  say "FAIL  $1 ($(spent "$2"))"
  { grep -nE "(error|FAILED|undefined symbol)[: ]" "$logs/step" | head -n 20
    echo ...; tail -n 40 "$logs/step"; } | sed 's/^/      /'
  return 1
}

# build_step NAME FOLDER TARGET…: the same, but how far it is is shown.
build_step() {
  local begin; begin=$(now)
  if build_shown "$logs/step" "${@:2}"; then ended "$1" "$begin"; else broken "$1" "$begin"; fi
}

packages() {
  local missing program
  # shellcheck disable=SC2046,SC2086
  missing=$(missing_packages $BUILD_PACKAGES $TEST_PACKAGES $([ $quick = yes ] || echo $SYSTEM_PACKAGES))
  for program in $([ $quick = yes ] || echo "$SYSTEM_PROGRAMS ${full:+$FULL_PROGRAMS}"); do
    command -v "${program%%:*}" >/dev/null || missing="$missing${program#*:} "
  done
  [ -z "$missing" ] && return 0
  if [ $install = no ] || [ "$(id -u)" != 0 ]; then
    say "Debian packages are missing. Try: sudo apt-get install -y $missing"; return 1
  fi
  say "installing $(wc -w <<<"$missing") Debian packages; all of them take about 2 minutes: $missing"
  # shellcheck disable=SC2086
  install_packages "$logs/apt" $missing && return 0
  say "tests/run.sh: $(why_not_installed "$logs/apt")"
  return 1
}

configure() { # FOLDER OPTION…
  local folder="$1"; shift
  cmake -S . -B "$folder" -G Ninja "$@"
}

# Names of the unit test programs: keytrail_test() gives the test the name of its target, and a shard a number behind
# it. (ctest tells commands only of what is built.)
unit_targets() { ctest --test-dir "$1" -N "${@:2}" | sed -n 's/^ *Test *#[0-9]*: \([^.]*\).*/\1/p' | sort -u; }

# gtests LABEL LOG BEGIN: adds the tests that a log of GoogleTest programs tells.
gtests() {
  local counts
  counts=$(/usr/bin/python3 tests/gtest_count.py "$2")
  grep '^skip' <<<"$counts"
  set -- "$1" "$2" "$3" $(tail -n 1 <<<"$counts")
  add "$4" "$5" "$6"
  if [ "$5" = 0 ]; then say "ok    $1: $4 tests ($(spent "$3"))"; return; fi
  say "FAIL  $1: $5 of $(($4 + $5)) tests"
  grep -E 'FAILED|Failure|error:|ERROR:|WARNING: ThreadSanitizer|SUMMARY|Expected|Actual|Which is|Timeout' "$2" |
    head -n 80 | sed 's/^/      /'
  return 1
}

run_ctest() { # LABEL FOLDER OPTION…
  local filter=("${@:3}") begin; begin=$(now)
  [ -n "$only" ] && filter+=(-R "$only")
  ctest --test-dir "$2" -j "$jobs" --timeout 900 --verbose "${filter[@]}" >"$logs/ctest" 2>&1
  if ! grep -q 'tests passed' "$logs/ctest"; then
    [ -n "$only" ] && return 0
    add 0 1 0; say "FAIL  $1: ctest ran nothing"; tail -n 20 "$logs/ctest"; return 1
  fi
  gtests "$1" "$logs/ctest" "$begin"
}

ASAN=(asan -DKEYTRAIL_FUZZ=ON)  # address and undefined
TSAN=(tsan -DKEYTRAIL_SANITIZE=thread -L threads)

sanitized() { # NAME OPTION [OPTION OF CTEST…]: the unit tests that these options choose
  local folder="$build-$1"
  step "configure $1" configure "$folder" -DCMAKE_BUILD_TYPE=Debug "$2" || return
  local targets
  targets=$(unit_targets "$folder" "${@:3}")
  # shellcheck disable=SC2086
  build_step "build unit tests with $1" "$folder" $targets && run_ctest "unit tests with $1" "$folder" "${@:3}"
}

# What wants nothing but processors goes on beside the suites that mostly wait: the sanitizers' builds, which the steps
# behind those suites then find done, and clang-tidy, whose words and exit code are this one's. In a session of its
# own, with the least weight there is (sched(7), autogroup).
begin_beside() {
  export -f configure unit_targets compile_beside work_beside
  export build jobs full logs
  setsid bash -c "ASAN=(${ASAN[*]}) TSAN=(${TSAN[*]}); work_beside" >"$logs/beside" 2>&1 & beside=$!
}
await_beside() { local code=0; wait "$beside" || code=$?; beside=""; cat "$logs/beside"; return $code; }
# shellcheck disable=SC2086
work_beside() {
  echo 19 2>/dev/null >/proc/self/autogroup
  chrt --idle --pid 0 $$
  { compile_beside "${ASAN[@]}"; ninja -C "$build-asan" fuzz; compile_beside "${TSAN[@]}"; } >"$logs/compiled" 2>&1
  exec /usr/bin/python3 tests/tidy.py --build "$build" --jobs "$jobs" $full
}
# shellcheck disable=SC2046
compile_beside() { # as sanitized
  configure "$build-$1" -DCMAKE_BUILD_TYPE=Debug "$2" &&
    ninja -C "$build-$1" $(unit_targets "$build-$1" "${@:3}")
}

fuzz() { # FOLDER: short runs; tests/fuzz/README.md tells of the long ones
  build_step "build fuzz targets" "$1" fuzz || return
  local begin; begin=$(now)
  if /usr/bin/python3 tests/fuzz/run.py --build "$1" --jobs "$jobs" >"$logs/fuzz"; then
    ended "fuzz: $(tail -n 1 "$logs/fuzz")" "$begin"
  else
    add 0 1 0; say "FAIL  fuzz"; sed 's/^/      /' "$logs/fuzz"
  fi
}

own_sources() {
  find agent bpf exporters include tests \( -name '*.cpp' -o -name '*.h' -o -name '*.bpf.c' \) ! -name vmlinux_core.h
}
check_format() { own_sources | xargs clang-format-19 --dry-run --Werror; }

root_program() { # TARGET: a test program that needs root
  build_step "build $1" "$build" "$1" || return
  local program code begin; begin=$(now)
  program=$(find "$build" -type f -perm -u+x -name "$1" | head -n 1)
  timeout 600 "$program" >"$logs/gtest" 2>&1
  code=$?
  gtests "$1" "$logs/gtest" "$begin" || return
  if [ $code != 0 ]; then add 0 1 0; say "FAIL  $1 ended with $code"; fi
}

unit_python() {
  step "tests of the system tests" /usr/bin/python3 tests/system/self_test.py
  step "tests of the interop tests" /usr/bin/python3 tests/interop/self_test.py
  step "tests of the corpus" /usr/bin/python3 tests/corpus/self_test.py
  step "tests of the attacks" /usr/bin/python3 tests/attacks/self_test.py
  step "tests of the layering test" /usr/bin/python3 tests/layers/self_test.py
  step "configure without tests, as quickstart does, with the bench" cmake -S . -B "$logs/untested" -G Ninja \
    -DKEYTRAIL_TESTS=OFF -DKEYTRAIL_BENCH=ON -DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON
  step "tests of the clang-tidy stamps" /usr/bin/python3 tests/tidy_test.py
  step "layers" /usr/bin/python3 tests/layers/check.py
}

system_cases() { # FOLDER
  local pattern=()
  [ -n "$only" ] && pattern=(--only "$only")
  counted "$1" /usr/bin/python3 tests/system/run.py --build "$build" --cases "$1" "${pattern[@]}"
}

# Debian's 6.12 in QEMU: the hooks that this machine's kernel may refuse. At most 15 minutes; longer and other runs:
# tests/kernels/README.md.
kernels() {
  local missing
  # shellcheck disable=SC2086
  missing=$(missing_packages $KERNEL_PACKAGES)
  # shellcheck disable=SC2086
  if [ -n "$missing" ] && [ $install = yes ]; then
    install_packages "$logs/apt" $missing || say "$(why_not_installed "$logs/apt")"
  fi
  local much=(--minutes 14)
  [ -n "$full" ] && much=(--full --minutes 60)
  counted tests/kernels /usr/bin/python3 tests/kernels/run.py --build "$build" "${much[@]}"
}

counted() { # NAME COMMAND…: its last line has the numbers
  local name="$1" line numbers begin; begin=$(now); shift
  "$@" | tee "$logs/counted"
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$logs/counted" | tail -n 1)
  if [ -z "$line" ]; then add 0 1 0; say "FAIL  $name did not end"; return; fi
  numbers=$(sed -E 's/([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped/\1 \2 \3/' <<<"$line")
  # shellcheck disable=SC2086
  add $numbers
  say "      $name: $(spent "$begin")"
}

# shellcheck disable=SC2086
corpus() { # the clients from other registries are set up when these can be reached; else their cases are named skips
  CORPUS_SECONDS=120 tests/corpus/setup.sh "$build/corpus"
  counted tests/corpus timeout ${full:+3}300 /usr/bin/python3 tests/corpus/run.py --build "$build" \
    --clients "$build/corpus" $full
}

end() { say "$passed passed, $failed failed, $skipped skipped"; [ "$failed" = 0 ]; exit; }

if ! mkdir -p "$build" 2>/dev/null || [ ! -w "$build" ]; then
  say "tests/run.sh: cannot write to $build: copy this checkout to a folder that can be written," \
    "or give one with --build."
  add 0 1 0; end
fi
if ! packages; then add 0 1 0; end; fi
step "configure" configure "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DKEYTRAIL_TESTS=ON || end
build_step "build" "$build" all || end
run_ctest "unit tests" "$build"
if [ -z "$only" ]; then
  unit_python
  step "clang-format" check_format
fi

if [ $quick = yes ]; then
  skip "sanitizer builds, clang-tidy" "--quick"
  skip "tests/bpf, tests/roles, tests/system, tests/attacks, tests/interop, tests/kernels, tests/corpus" \
    "--quick (they need root)"
  end
fi
[ -z "$only" ] && begin_beside
[ -z "$only" ] && counted tests/packaging /usr/bin/python3 tests/packaging/run.py --build "$build"
if [ "$(id -u)" = 0 ]; then
  if [ -z "$only" ]; then
    step "tests of the clean root" /usr/bin/python3 tests/clean_root/self_test.py
    root_program bpf_test
    root_program roles_test
  fi
  system_cases tests/system/cases
  [ -n "$full" ] && export KEYTRAIL_FULL=1  # what takes long to build is built
  system_cases tests/interop/cases
  [ -z "$only" ] && counted tests/attacks timeout 600 /usr/bin/python3 tests/attacks/run.py --build "$build"
  [ -z "$only" ] && corpus
  [ -z "$only" ] && kernels
else
  skip "tests/bpf, tests/roles, tests/system, tests/attacks, tests/interop, tests/kernels, tests/corpus" \
    "not root. Try: sudo tests/run.sh"
fi
if [ -z "$only" ]; then
  step "clang-tidy" await_beside
  sanitized "${ASAN[@]}"
  fuzz "$build-asan"
  sanitized "${TSAN[@]}"
fi
end
