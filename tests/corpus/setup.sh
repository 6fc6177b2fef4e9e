#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs the corpus' clients that Debian does not have, each from its own registry:
# tests/corpus/setup.sh DIR [COMPONENT ...]
#   venv awscli1 (PyPI)  go (Go modules)  node (npm)  java (Maven)  rust (crates; by name only: it compiles for minutes)
# A component is independent of the others. One that fails leaves DIR/NAME.why, its cases are skipped and say so; one
# that is there is not made again.
# CORPUS_SECONDS bounds each component (default 240). Always exits 0 but for wrong use.
set -u
export PATH="$PATH:/usr/local/go/bin:$HOME/.cargo/bin"
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: $0 DIR [venv awscli1 go node java rust]" >&2; exit 2; }
mkdir -p "$1/bin" && dir=$(cd "$1" && pwd) || exit 2
shift
export dir here

venv() {
  /usr/bin/python3 -m venv "$dir/venv" && "$dir/venv/bin/pip" install -q -r "$here/programs/python/requirements.txt"
}
awscli1() { /usr/bin/python3 -m venv "$dir/venv-aws1" && "$dir/venv-aws1/bin/pip" install -q 'awscli<2'; }
go() {
  cd "$here/programs/go" || return 1
  local name
  for name in aws vault; do command go build -o "$dir/bin/go-$name" "./$name" || return 1; done
}
node() {
  mkdir -p "$dir/node" && cp "$here"/programs/node/* "$dir/node/" && cd "$dir/node" &&
    npm install --no-audit --no-fund --no-package-lock --loglevel=error
}
java() {
  mkdir -p "$dir/java" && cp -r "$here"/programs/java/* "$dir/java/" && cd "$dir/java" &&
    mvn -q -B -DskipTests -Dcorpus.out="$dir/java" package
}
rust() {
  mkdir -p "$dir/rust" && cp -r "$here"/programs/rust/* "$dir/rust/" && cd "$dir/rust" &&
    cargo build -j2 --quiet && cp target/debug/rust-aws "$dir/bin/" && rm -rf target
}
export -f venv awscli1 go node java rust

for name in ${*:-venv awscli1 go node java}; do
  case $name in venv | awscli1 | go | node | java | rust) ;; *) echo "$0: no component $name" >&2; exit 2 ;; esac
  [ -e "$dir/$name.ok" ] && continue
  if timeout "${CORPUS_SECONDS:-240}" nice bash -c "$name" >"$dir/$name.log" 2>&1; then
    rm -f "$dir/$name.why"; touch "$dir/$name.ok"; echo "set up  $name"
  else
    code=$?
    { [ $code = 124 ] && echo "not made within ${CORPUS_SECONDS:-240} s" ||
      tail -n 3 "$dir/$name.log" | tr '\n\t' '  ' | cut -c 1-160; } >"$dir/$name.why"
    echo "missing $name: $(cat "$dir/$name.why")"
  fi
done
exit 0
