#!/bin/sh
# Installs what the tests need besides Node: AMQP clients in other languages, a browser and nats-server, from Debian.
# Only what is missing, and only where that is possible: on Debian (or a relative of it) and, but for nats-server, as root.
# What stays missing is named loudly, and the exit status is 1. Under CI=true the tests that need it fail;
# elsewhere they say what they left out.
set -u

missing=''
need() { # need PACKAGE TEST-COMMAND...   the package is missing when the command fails
  package=$1
  shift
  "$@" >/dev/null 2>&1 || missing="$missing $package"
}

find_missing() {
  missing=''
  # Debian's own Python counts even where another one comes first on the path.
  need python3-pika sh -c 'python3 -c "import pika" || /usr/bin/python3 -c "import pika"'
  need python3-celery sh -c 'python3 -c "import celery" || /usr/bin/python3 -c "import celery"'
  need openssl openssl version
  need amqp-tools sh -c 'command -v amqp-publish && command -v amqp-consume && command -v amqp-get'
  need chromium chromium --version
  # Its promtool checks our metrics.
  need prometheus promtool --version
  need php-cli php -r 'exit(0);'
  need php-amqplib php -r 'exit((@include "PhpAmqpLib/autoload.php") === false ? 1 : 0);'
}

apt_install() {
  # shellcheck disable=SC2086 — a list of package names
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing </dev/null >"$log" 2>&1
}

# Not with the others: Debian's own is too old on most machines, and no root is needed.
nats=0
sh "$(dirname "$0")/install-nats.sh" >/dev/null || nats=1

find_missing
[ -z "$missing" ] && exit $nats

reason=''
if ! command -v apt-get >/dev/null 2>&1; then
  reason='this system has no apt-get'
elif [ "$(id -u)" -ne 0 ]; then
  reason="only root may install; run: sudo apt-get install$missing"
else
  log=$(mktemp)
  echo "installing for the tests:$missing"
  # The package lists of a fresh machine are empty or old: fetch them when the first attempt fails.
  apt_install || { apt-get update -q </dev/null >/dev/null 2>&1; apt_install; } || reason=$(grep '^E:' "$log" | head -n 5)
  rm -f "$log"
  find_missing
  [ -z "$missing" ] && exit $nats
fi

{
  echo '************************************************************************'
  echo "MISSING, so the tests that use it cannot run:$missing"
  echo "reason: ${reason:-the packages were installed but do not work}"
  echo '************************************************************************'
} >&2
exit 1
