#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the README promises, in a clean root (tests/clean_root/run.sh runs this there; it would change a machine that one
# keeps): command one with its demo, its words when a package is missing, its --remove, then command two's installation,
# build and unit tests.
set -eu
cd "$(dirname "$0")/../.."
begin=$SECONDS
say() { printf 'clean root: %s (%d:%02d)\n' "$*" $(((SECONDS - begin) / 60)) $(((SECONDS - begin) % 60)); }
fail() { say "FAIL  $*" >&2; exit 1; }

# without PACKAGE WORDS COMMAND…: with PACKAGE neither installed nor listed, COMMAND fails and says WORDS in one
# sentence.
without() {
  local package="$1" words="$2" said list=packaging/packages.sh; shift 2
  cp "$list" /tmp/packages.sh
  sed -i "s/\b$package\b//" "$list"
  DEBIAN_FRONTEND=noninteractive apt-get -qq remove -y "$package" >/dev/null
  if said=$("$@" 2>&1); then fail "$1 does not notice that $package is missing"; fi
  mv /tmp/packages.sh "$list"
  grep -q "$words" <<<"$said" || fail "without $package it should say \"$words\", and says: $said"
  if grep -q Traceback <<<"$said"; then fail "without $package it says: $said"; fi
  say "ok    without $package: $(grep "$words" <<<"$said")"
}

packaging/quickstart.sh --once --demo
say "ok    command one, with its demo"
without python3-paramiko "^demo: .*paramiko" packaging/quickstart.sh --once --demo
packaging/quickstart.sh --remove
without libseccomp-dev "^quickstart: .*seccomp" packaging/quickstart.sh --once --demo
packaging/quickstart.sh --remove
for left in /usr/lib/keytrail /usr/bin/keytrail /etc/keytrail /var/lib/keytrail /run/keytrail build; do
  [ ! -e "$left" ] || fail "--remove left $left"
done
say "ok    --remove"
tests/run.sh --quick
say "ok    command two: installation, build and unit tests"
