# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The Debian packages, by what needs them: the one list that packaging/quickstart.sh and tests/run.sh source.
# tests/clean_root shows that it is whole.

BUILD_PACKAGES="bpftool ccache clang-19 cmake libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev libbpf-dev
  libcli11-dev libelf-dev libfmt-dev libgrpc++-dev libprotobuf-dev libpsl-dev libre2-dev libseccomp-dev libspdlog-dev
  libsqlite3-dev libssl-dev libyaml-cpp-dev lld-19 llvm-19 ninja-build pkg-config protobuf-compiler python3 zlib1g-dev"

# What the stage of tests/system imports and calls (the demo plays on it too).
STAGE_PACKAGES="ca-certificates iproute2 openssl python3-cryptography python3-paramiko util-linux"
DEMO_PACKAGES="$STAGE_PACKAGES awscli curl python3-boto3"

# tests/run.sh: what needs no root, then real clients. Of the last a package only where the program is missing: many
# machines have it from elsewhere.
TEST_PACKAGES="$STAGE_PACKAGES clang-format-19 clang-tidy-19 clang-tools-19 git libbenchmark-dev libclang-rt-19-dev
  libgmock-dev libgtest-dev python3-yaml"
SYSTEM_PACKAGES="$DEMO_PACKAGES httpie openssh-client php-cli php-curl python3-dotenv python3-grpcio python3-pip
  python3-protobuf python3-requests python3-venv ruby tar wget"
# A node for the pod is containerd with runc, which the tests start themselves.
SYSTEM_PROGRAMS="busybox:busybox-static containerd:containerd javac:openjdk-17-jdk-headless kubectl:kubernetes-client
  node:nodejs psql:postgresql-client rclone:rclone runc:runc skopeo:skopeo twine:twine"
FULL_PROGRAMS="dockerd:docker.io newuidmap:uidmap podman:podman"  # with --full: a daemon begins where there is systemd
KERNEL_PACKAGES="busybox-static qemu-system-x86"  # may be missing: then tests/kernels is skipped

# missing_packages NAME…: prints those that are not installed, each once.
missing_packages() {
  local name
  for name in $(printf '%s\n' "$@" | sort -u); do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$name"
  done
}

# install_packages LOG NAME…: as root; apt's own words go to LOG. It waits two minutes for another apt.
install_packages() {
  local log="$1"; shift
  { apt-get -qq update &&
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@"
  } >"$log" 2>&1
}

# why_not_installed LOG: one sentence on what to do, from apt's words.
why_not_installed() {
  local unknown unreachable
  unknown=$(sed -nE "s/^E: Unable to locate package ([^ ]+).*/\1/p
    s/^E: Package '?([^' ]+)'? has no installation candidate.*/\1/p" "$1" | head -n 1)
  unreachable='Temporary failure|Could not (connect|resolve)|Unable to connect|Connection (failed|timed out|refused)'
  if grep -qE "$unreachable|Network is unreachable|HttpError|^[EW]: Failed to fetch" "$1"; then
    printf '%s' "apt-get could not reach Debian's packages: check the network and apt's proxy " \
      "(apt-config dump | grep -i proxy; echo \$http_proxy), then run this again."
  elif grep -q 'Could not get lock' "$1"; then
    printf '%s' "another apt or dpkg runs on this machine: wait for its end, then run this again."
  elif grep -qE 'No space left|enough free space' "$1"; then
    printf '%s' "the disk is full: make 4 GB free, then run this again."
  elif [ -n "$unknown" ]; then
    printf '%s' "Debian 12's package $unknown is not in the package sources of this machine: add bookworm, " \
      "bookworm-updates and bookworm-security to /etc/apt/sources.list, then run this again."
  else
    printf '%s' "apt-get could not install the packages ($(grep -E '^(E|dpkg: error)' "$1" | tail -n 1)). " \
      "Try: apt-get update; apt-get -f install; then run this again."
  fi
}
