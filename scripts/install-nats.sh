#!/bin/sh
# Installs nats-server, which each node of a cluster runs, on Debian or a relative of it.
#
#   scripts/install-nats.sh [DIRECTORY]
#
# Debian 12 and 13 have versions that are too old, so the program is taken out of the package of Debian's sid, else of
# testing. Only that one file is installed, into DIRECTORY (as root /usr/local/bin, else ~/.local/bin): no service, no
# change of the system's package sources. The package's signature is checked with Debian's own keyring.
# Needs no root. Does nothing when a new enough nats-server is there already.
set -eu

version_min=2.14.4
if [ "$(id -u)" -eq 0 ]; then usual=/usr/local/bin; else usual="$HOME/.local/bin"; fi
directory=${1:-$usual}

fail() {
  echo "install-nats: $1" >&2
  exit 1
}

# is_new_enough PROGRAM
is_new_enough() {
  found=$("$1" --version 2>/dev/null | sed -n 's/^nats-server: v*//p')
  [ -n "$found" ] && [ "$(printf '%s\n%s\n' "$version_min" "$found" | sort -V | head -n 1)" = "$version_min" ]
}

for program in nats-server /usr/local/bin/nats-server /usr/sbin/nats-server "$directory/nats-server"; do
  if [ $# -eq 0 ] && is_new_enough "$program"; then
    echo "nats-server $found is there already: $(command -v "$program")"
    exit 0
  fi
done

command -v apt-get >/dev/null 2>&1 || fail "this system has no apt-get; install nats-server $version_min or newer by hand"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || fail "there is no $keyring; install debian-archive-keyring"

# DEBIAN_MIRROR, or the mirror that the machine uses already.
mirror=${DEBIAN_MIRROR:-}
for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/*.sources; do
  [ -n "$mirror" ] || mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p' "$file" 2>/dev/null | head -n 1)
done
[ -n "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] \)*\(http[^ ]*\).*/\2/p' /etc/apt/sources.list 2>/dev/null | head -n 1)
[ -n "$mirror" ] || fail 'no Debian mirror stands in /etc/apt/sources.list or sources.list.d; name one by DEBIAN_MIRROR=URL'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/state" "$work/out"
touch "$work/state/status"

# apt SUITE ARGS...: with package lists of its own.
apt() {
  suite=$1
  shift
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$mirror" "$suite" "$keyring" \
    >"$work/nats.sources"
  (
    cd "$work/out"
    apt-get -q -o Dir::Etc::sourcelist="$work/nats.sources" -o Dir::Etc::sourceparts=/dev/null \
      -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
      -o Dir::State="$work/state" -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/state/status" \
      -o Dir::Cache="$work" -o APT::Sandbox::User=root -o Acquire::Languages=none "$@" </dev/null
  )
}

# from SUITE: puts a program that is new enough into $work/root.
from() {
  rm -rf "$work/root" "$work/out"
  mkdir -p "$work/out"
  { apt "$1" update && apt "$1" download nats-server && dpkg -x "$work"/out/nats-server_*.deb "$work/root"; } \
    >"$work/log" 2>&1 || return 1
  is_new_enough "$work/root/usr/sbin/nats-server"
}

for suite in sid testing; do
  if from "$suite"; then
    mkdir -p "$directory"
    install -m 755 "$work/root/usr/sbin/nats-server" "$directory/nats-server"
    echo "installed nats-server $found from Debian's $suite: $directory/nats-server"
    case ":$PATH:" in
      *":$directory:"*) ;;
      *) echo "it is not on the PATH; give warren serve --nats-server $directory/nats-server" ;;
    esac
    exit 0
  fi
  grep -E '^(E:|W:|Err)' "$work/log" | tail -n 3 >&2 || true
  echo "install-nats: no nats-server $version_min or newer that runs here in Debian's $suite of $mirror" >&2
done
fail "nothing was installed; see https://nats.io/download for other ways"
