#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Keytrail on this machine in one command: sudo packaging/quickstart.sh [--demo] [--once] [--remove]
#   (nothing)  install build needs, build, start the agent, show the live trail. Ctrl-C ends the view, not the agent.
#   --demo     first make traffic to look at: real clients with planted keys in a network namespace of their own,
#              removed afterwards
#   --once     end after the demo; exit 0 only when its trail was seen
#   --remove   stop the agent and undo everything but the Debian packages
set -eu -o pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# shellcheck source=packaging/packages.sh
. packaging/packages.sh
# shellcheck source=packaging/build.sh
. packaging/build.sh
LIB=/usr/lib/keytrail
PID=/run/keytrail/warden.pid
LOG=/var/log/keytrail.log

demo=no once=no remove=no
for option in "$@"; do
  case "$option" in
    --demo) demo=yes ;;
    --once) once=yes; demo=yes ;;
    --remove) remove=yes ;;
    -h | --help) sed -n '3,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "quickstart: unknown option $option (try --help)" >&2; exit 2 ;;
  esac
done
say() { printf '%s\n' "$*"; }
refuse() { say "quickstart: $*" >&2; exit 1; }
with_systemd() { [ -d /run/systemd/system ]; }

[ "$(uname -s)" = Linux ] || refuse "Keytrail watches Linux; this is $(uname -s)."
[ "$(id -u)" = 0 ] || refuse "needs root to load kernel programs. Try: sudo packaging/quickstart.sh"

running_by_hand() { # prints the warden's pid when it is ours and alive
  local pid
  pid=$(cat "$PID" 2>/dev/null) || return 1
  [ "$(readlink "/proc/$pid/exe" 2>/dev/null | sed 's/ (deleted)$//')" = "$LIB/keytrail-warden" ] && printf '%s' "$pid"
}

stop_agent() {
  if with_systemd && systemctl cat keytrail.service >/dev/null 2>&1; then systemctl stop keytrail.service; fi
  local pid
  if pid=$(running_by_hand); then
    kill "$pid"
    for _ in $(seq 150); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
    if [ -d "/proc/$pid" ]; then kill -KILL "$pid"; fi
    rm -f "$PID"
  fi
}

if [ $remove = yes ]; then
  stop_agent
  if with_systemd; then systemctl disable keytrail.service >/dev/null 2>&1 || true; fi
  rm -rf "$LIB" /usr/bin/keytrail /etc/systemd/system/keytrail.service /etc/keytrail /var/lib/keytrail /run/keytrail \
    "$LOG" build
  if with_systemd; then systemctl daemon-reload; fi
  for user in keytrail keytrail-examiner; do
    if getent passwd $user >/dev/null && ! userdel $user; then
      say "The user $user stays: another agent runs as it. Try later: sudo userdel $user"
      continue
    fi
    if getent group $user >/dev/null; then groupdel $user; fi
  done
  say "Keytrail is gone: agent, history, configuration, users and build folder. The Debian packages stay."
  exit 0
fi

[ -e /sys/kernel/btf/vmlinux ] || refuse "this kernel ($(uname -r)) has no BTF, which the kernel programs need." \
  "Use a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian's are)."
command -v apt-get >/dev/null || refuse "installs its needs with apt-get (Debian 12). Elsewhere install clang 19," \
  "CMake and the libraries named in packaging/packages.sh, and build with CMake (CMakeLists.txt says how)."

mkdir -p build 2>/dev/null && [ -w build ] ||
  refuse "cannot write to $PWD/build: copy this checkout to a folder that can be written, then run it there."

# shellcheck disable=SC2046,SC2086
missing=$(missing_packages $BUILD_PACKAGES $([ $demo = no ] || echo $DEMO_PACKAGES))
if [ -n "$missing" ]; then
  say "installing $(wc -w <<<"$missing") Debian packages; all of them take about 2 minutes (build/apt.log)"
  # shellcheck disable=SC2086
  install_packages build/apt.log $missing || refuse "$(why_not_installed build/apt.log)"
fi

if [ ! -e build/build.ninja ]; then
  cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DKEYTRAIL_TESTS=OFF >build/configure.log 2>&1 ||
    refuse "$(why_not_configured build/configure.log)"
fi
build_shown build/build.log build keytrail keytrail-warden keytrail-examiner ||
  refuse "$(why_not_built build/build.log)"

changed=no
mkdir -p "$LIB" /etc/keytrail
for name in keytrail keytrail-warden keytrail-examiner keytrail-otlp-grpc.so keytrail-otlp-json.so; do
  if ! cmp -s "build/bin/$name" "$LIB/$name"; then
    install -m 0755 "build/bin/$name" "$LIB/$name.new" && mv -f "$LIB/$name.new" "$LIB/$name"
    changed=yes
  fi
done
ln -sf "$LIB/keytrail" /usr/bin/keytrail
[ -e /etc/keytrail/keytrail.yaml ] || install -m 0644 packaging/keytrail.yaml /etc/keytrail/keytrail.yaml
for user in keytrail keytrail-examiner; do
  getent group $user >/dev/null || groupadd --system $user
  getent passwd $user >/dev/null ||
    useradd --system --gid $user --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin $user
done

if [ $changed = yes ]; then stop_agent; fi
if with_systemd; then
  install -m 0644 packaging/systemd/keytrail.service /etc/systemd/system/keytrail.service
  systemctl daemon-reload
  systemctl enable --now keytrail.service || refuse "systemd could not start it: journalctl -u keytrail -n 20"
elif ! running_by_hand >/dev/null; then
  mkdir -p /run/keytrail
  setsid "$LIB/keytrail-warden" --foreground </dev/null >>"$LOG" 2>&1 &
  echo $! >"$PID"
fi
status() { keytrail status || [ $? = 1 ]; }  # 1: armed in part, and it says what is missing
ready=no
for _ in $(seq 100); do
  if status >/dev/null 2>&1; then ready=yes; break; fi
  sleep 0.1
done
if [ $ready = no ]; then
  if with_systemd; then journalctl -u keytrail -n 20 --no-pager >&2 || true; else tail -n 20 "$LOG" >&2; fi
  refuse "the agent does not answer: its last lines are above."
fi
status

if [ $demo = yes ]; then
  say ""
  say "demo: real clients with planted keys, in a network namespace of their own"
  if python3 packaging/demo.py; then seen=0; else seen=1; fi
  if [ $once = yes ]; then exit $seen; fi
fi
say ""
say "live trail (Ctrl-C ends this view; the agent goes on. Ask it: keytrail uses, keytrail keys, keytrail doctor)"
exec keytrail watch
