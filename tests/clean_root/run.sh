#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A command in a truly fresh Debian 12 that holds a copy of this checkout:
#   sudo tests/clean_root/run.sh [--tar FILE] COMMAND…
#   --tar FILE  the root's files; default: the newest of the last 7 days in /var/cache/keytrail, else debootstrap makes
#               one there
# The root has its own mounts (pivot_root), and the machine's kernel, network, package sources and compile cache. At the
# end, also after a failure or Ctrl-C, its processes are ended and its files removed; its mounts go with them.
# Exit: the command's; 77 where no root can be made (1 when CI=true).
set -eu -o pipefail
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd "$(dirname "$0")/../.."

SUITE=bookworm
CACHE=${KEYTRAIL_ROOT_CACHE:-/var/cache/keytrail}
MIRROR=${KEYTRAIL_ROOT_MIRROR:-}
DAYS=7
NEEDED_GB=6

say() { printf 'clean root: %s\n' "$*"; }
cannot() { # no root can be made here: a failure in CI, a skip elsewhere
  if [ "${CI:-}" = true ]; then say "$*" >&2; exit 1; fi
  say "skipped: $*"
  exit 77
}

tar_file=""
case "${1:-}" in
  --tar) tar_file="${2:?--tar wants a file}"; shift 2 ;;
  -h | --help | "") sed -n '3,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

root="" inside=""
members() { # pids of the processes whose root directory is ours
  local one
  for one in /proc/[0-9]*; do
    if [ "$one/root" -ef "$root" ]; then printf '%s ' "${one#/proc/}"; fi
  done
}
# shellcheck disable=SC2046,SC2317
cleanup() {
  trap '' INT TERM
  if [ -z "$root" ]; then return; fi
  if [ -n "$inside" ]; then kill "$inside" 2>/dev/null || true; fi
  kill $(members) 2>/dev/null || true
  for _ in $(seq 100); do [ -n "$(members)" ] || break; sleep 0.1; done
  kill -KILL $(members) 2>/dev/null || true
  for _ in $(seq 20); do [ -n "$(members)" ] || break; sleep 0.1; done
  rm -rf --one-file-system "$root" "$root.log"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The mirror and the settings that apt uses on this machine, when it is the same Debian.
same_debian() { grep -q "^VERSION_CODENAME=$SUITE\$" /etc/os-release 2>/dev/null; }
mirror() {
  local found=""
  if same_debian; then
    found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
      grep -E '/debian/?$' | head -n 1)
  fi
  printf '%s' "${found:-http://deb.debian.org/debian}"
}

# make_tar FILE: debootstrap's minimal Debian. debootstrap mounts /proc in it, so it too works in mounts of its own.
make_tar() {
  if ! command -v debootstrap >/dev/null; then
    { apt-get -qq update &&
      DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends debootstrap; } >/dev/null 2>&1 ||
      cannot "debootstrap is missing and apt-get cannot install it. Try: sudo apt-get install debootstrap"
  fi
  local from="${MIRROR:-$(mirror)}" begin=$SECONDS
  say "debootstrap makes $SUITE from $from (about 4 minutes, once in $DAYS days)"
  run_inside unshare --mount --propagation private debootstrap --variant=minbase "$SUITE" "$root" "$from" \
    >"$root.log" 2>&1 || {
    tail -n 3 "$root.log" >&2; rm -f "$root.log"
    cannot "debootstrap could not fetch Debian from $from: see above. Check the network, or give a root's files:" \
      "tests/clean_root/run.sh --tar FILE"
  }
  rm -f "$root.log"
  tar -C "$root" --exclude=./var/cache/apt/archives/*.deb -cf "$1.$$" . && mv "$1.$$" "$1"
  say "$1 made in $((SECONDS - begin)) s"
}

run_inside() { # COMMAND…: in the background, since bash handles a signal only while it waits
  "$@" & inside=$!
  local code=0
  wait "$inside" || code=$?
  inside=""
  return $code
}

# take_over: how this machine reaches the network.
take_over() {
  local file
  for file in /etc/resolv.conf /etc/hosts; do if [ -e "$file" ]; then cp -L "$file" "$root/etc/"; fi; done
  if same_debian; then
    rm -f "$root/etc/apt/sources.list"
    for file in sources.list sources.list.d auth.conf.d keyrings trusted.gpg.d; do
      if [ -e "/etc/apt/$file" ]; then cp -rL "/etc/apt/$file" "$root/etc/apt/"; fi
    done
    for file in /usr/share/keyrings/*; do if [ ! -e "$root$file" ]; then cp -L "$file" "$root$file"; fi; done
  else
    printf 'deb %s %s main\n' "${MIRROR:-http://deb.debian.org/debian}" "$SUITE" \
      "${MIRROR:-http://deb.debian.org/debian}" "$SUITE-updates" \
      http://deb.debian.org/debian-security "$SUITE-security" >"$root/etc/apt/sources.list"
  fi
  mkdir -p "$root/etc/dpkg/dpkg.cfg.d"
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/90fast"  # nobody keeps this root: dpkg need not wait for the disk
  if command -v apt-config >/dev/null; then
    apt-config dump | grep -E '^Acquire::(http|https|Check|Retries|Languages|ForceIP)' \
      >"$root/etc/apt/apt.conf.d/90machine" || true
  fi
}

[ "$(uname -s)" = Linux ] || cannot "needs Linux; this is $(uname -s)."
[ "$(id -u)" = 0 ] || cannot "needs root for its mounts. Try: sudo tests/clean_root/run.sh"
unshare --mount true 2>/dev/null ||
  cannot "this machine lets root make no mount namespace (a container?). Try it on the machine itself."

root=$(mktemp -d /var/tmp/keytrail-root-XXXXXXXX)
chmod 755 "$root"
if [ -z "$tar_file" ]; then
  mkdir -p "$CACHE" ||
    cannot "$CACHE cannot be made. Give another folder: KEYTRAIL_ROOT_CACHE=FOLDER tests/clean_root/run.sh"
  tar_file=$(find "$CACHE" -maxdepth 1 -name "$SUITE-*.tar" -mtime "-$DAYS" | sort | tail -n 1)
  if [ -z "$tar_file" ]; then
    tar_file="$CACHE/$SUITE-$(date +%F).tar"
    make_tar "$tar_file"
    find "$CACHE" -maxdepth 1 -name "$SUITE-*.tar" ! -path "$tar_file" -delete
  fi
fi
[ "$(df --output=avail -BG /var/tmp | tail -n 1 | tr -dc 0-9)" -ge "$NEEDED_GB" ] ||
  cannot "/var/tmp has less than $NEEDED_GB GB free. Make room there."
[ -n "$(ls "$root")" ] || tar -C "$root" -xf "$tar_file" ||
  { say "$tar_file cannot be unpacked: remove it and run this again." >&2; exit 1; }
take_over
mkdir -p "$root/keytrail" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/root/.cache/ccache"
tar --exclude=./.git --exclude='./build*' --exclude=__pycache__ -cf - . | tar -C "$root/keytrail" -xf -

cache=$(ccache -k cache_dir 2>/dev/null || printf '%s' "${CCACHE_DIR:-$HOME/.cache/ccache}")
mkdir -p "$cache"
keep=(HOME=/root "TERM=${TERM:-dumb}" "PATH=$PATH" "CCACHE_MAXSIZE=$(ccache -k max_size 2>/dev/null || printf 5G)")
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY CI; do
  if [ -n "${!name:-}" ]; then keep+=("$name=${!name}"); fi
done

# shellcheck disable=SC2016
run_inside unshare --mount --propagation private bash -c '
  set -e
  root="$1" cache="$2"; shift 2
  mount --bind "$root" "$root"
  cd "$root"
  for one in proc sys dev; do mount --rbind "/$one" "$one"; done
  mount -t tmpfs -o mode=755 run run
  mount --bind "$cache" root/.cache/ccache
  pivot_root . mnt
  cd /keytrail
  umount -l /mnt
  exec env -i "$@"' bash "$root" "$cache" "${keep[@]}" "$@"
