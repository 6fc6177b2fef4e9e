# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The Debian packages, by what needs them: the one list that packaging/quickstart.sh and tests/run.sh source. tests/clean_root shows that it is whole.

BUILD_PACKAGES="bpftool ccache clang-19 cmake libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev libbpf-dev libcli11-dev libelf-dev libfmt-dev
  libgrpc++-dev libprotobuf-dev libpsl-dev libre2-dev libseccomp-dev libspdlog-dev libsqlite3-dev libssl-dev libyaml-cpp-dev lld-19 llvm-19 ninja-build
  pkg-config protobuf-compiler protobuf-compiler-grpc python3 zlib1g-dev"

# What the stage of tests/system imports and calls (the demo plays on it too).
STAGE_PACKAGES="ca-certificates iproute2 openssl python3-cryptography python3-paramiko util-linux"
DEMO_PACKAGES="$STAGE_PACKAGES awscli curl python3-boto3"

# tests/run.sh: what needs no root, then real clients. Of the last a package only where the program is missing: many machines have it from elsewhere.
TEST_PACKAGES="$STAGE_PACKAGES clang-format-19 clang-tidy-19 clang-tools-19 git libbenchmark-dev libclang-rt-19-dev libgmock-dev libgtest-dev python3-yaml"
SYSTEM_PACKAGES="$DEMO_PACKAGES httpie openssh-client php-cli php-curl python3-dotenv python3-pip python3-requests python3-venv ruby tar wget"
SYSTEM_PROGRAMS="javac:openjdk-17-jdk-headless kubectl:kubernetes-client node:nodejs psql:postgresql-client rclone:rclone skopeo:skopeo twine:twine"
KERNEL_PACKAGES="busybox-static qemu-system-x86"  # may be missing: then tests/kernels is skipped

# missing_packages NAME…: prints those that are not installed.
missing_packages() {
  local name
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$name"
  done
}

# install_packages LOG NAME…: as root; apt's own words go to LOG.
install_packages() {
  local log="$1"; shift
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"; } >"$log" 2>&1
}
