#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Keytrail's container image, without a Docker engine: packaging/image/build.sh [--output FILE.tar] [--tag NAME:TAG]
#   --output FILE  an OCI image layout in a tar, default keytrail.tar: `ctr images import FILE`, `skopeo copy
#                  oci-archive:FILE docker://…`, `podman load -i FILE`
#   --tag NAME:TAG the image's name, default docker.io/library/keytrail:VERSION
#   --debug FILE   a tar.gz for the debug information that is taken out of the executables
#   --build DIR    executables that are built already, in DIR/bin; otherwise they are built in build/
# The same sources on the same packages give the same digest; SOURCE_DATE_EPOCH sets the time (default: the commit's).
set -eu -o pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# shellcheck source=packaging/packages.sh
. packaging/packages.sh
# shellcheck source=packaging/build.sh
. packaging/build.sh

refuse() { printf 'image: %s\n' "$*" >&2; exit 1; }
build="" options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --build) build="${2:?--build wants a folder}"; shift ;;
    --output | --tag | --debug) options+=("$1" "${2:?$1 wants a value}"); shift ;;
    -h | --help) sed -n '3,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "image: unknown option $1 (try --help)" >&2; exit 2 ;;
  esac
  shift
done
# shellcheck disable=SC2086
missing=$(missing_packages $BUILD_PACKAGES ca-certificates)
[ -z "$missing" ] || refuse "Debian packages are missing. Try: sudo apt-get install -y $missing"
if [ -z "$build" ]; then
  build=build
  if [ ! -e build/build.ninja ]; then
    mkdir -p build
    cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DKEYTRAIL_TESTS=OFF >build/configure.log 2>&1 ||
      refuse "$(why_not_configured build/configure.log)"
  fi
  build_shown build/build.log build keytrail keytrail-warden keytrail-examiner ||
    refuse "$(why_not_built build/build.log)"
fi
revision=$(git rev-parse HEAD 2>/dev/null || true)
exec /usr/bin/python3 packaging/image/image.py --build "$build" --revision "$revision" "${options[@]}"
