#!/bin/sh
# Makes sure that the server programs which npm does not carry are on this machine:
#   PostgreSQL 15 or newer (server and client programs), and a Redis or Valkey server of at least 7.2
#   where the one that npm carries cannot run (it wants glibc 2.38), and the OpenMP library that the FalkorDB module needs.
# Arguments: further programs that must be here, named as their packages are. `sshd` is an OpenSSH server for tests: it is only unpacked
#   into node_modules, never installed, since an installed one would be started with the machine; where none can be had, one line says why.
# Nothing to do: says nothing, exits 0. As root on Debian or Ubuntu it installs them, without starting any service.
# Elsewhere it prints the one command to type and exits 2.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)

has_postgres() {
  for bin in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin $(pg_config --bindir 2>/dev/null || true); do
    for program in postgres initdb pg_ctl pg_dump pg_restore; do
      [ -x "$bin/$program" ] || continue 2
    done
    major=$("$bin/postgres" --version | sed -n 's/.* \([0-9][0-9]*\)[.].*/\1/p')
    [ "${major:-0}" -ge 15 ] && return 0
  done
  return 1
}

is_new_enough() { # PROGRAM: a Redis or Valkey server of at least 7.2 that starts here
  version=$("$1" --version 2>/dev/null | sed -n 's/.*v=\([0-9][0-9]*[.][0-9][0-9]*\).*/\1/p')
  [ -n "$version" ] || return 1
  [ "${version%%.*}" -gt 7 ] || { [ "${version%%.*}" -eq 7 ] && [ "${version#*.}" -ge 2 ]; }
}

has_redis() {
  for program in "$here/node_modules/@falkordblite/linux-x64/bin/redis-server" valkey-server redis-server; do
    is_new_enough "$program" && return 0
  done
  return 1
}

module_can_load() { # what the FalkorDB module is linked with is here; elsewhere than on Linux x64 there is no module
  module="$here/node_modules/@falkordblite/linux-x64/bin/falkordb.so"
  [ ! -e "$module" ] || ! ldd "$module" 2>/dev/null | grep -q 'libgomp.*not found'
}

openssh="$here/node_modules/.cache/openssh"

starts() { # PROGRAM: it is here, and so are the libraries that it wants; what it says to the question is its own affair
  [ -x "$1" ] || return 1
  status=0
  LD_LIBRARY_PATH=$(echo "$openssh"/usr/lib/*-linux-gnu) "$1" -V > /dev/null 2>&1 || status=$?
  [ "$status" -lt 126 ]
}

has_sshd() {
  starts /usr/sbin/sshd || starts "$openssh/usr/sbin/sshd"
}

unpack_sshd() { # Debian and Ubuntu; whoever this is, since nothing is installed
  unpacked=$(mktemp -d)
  ( cd "$unpacked" && {
      apt-get download openssh-server libwrap0 || { apt-get update && apt-get download openssh-server libwrap0; }
    } && for package in ./*.deb; do dpkg -x "$package" tree; done && mkdir -p "${openssh%/*}" && rm -rf "$openssh" && mv tree "$openssh"
  ) > "$unpacked/log" 2>&1 || why="none could be unpacked: $(tail -n 1 "$unpacked/log")"
  rm -rf "$unpacked"
}

provide_sshd() { # for tests; where none can be had, which is no failure, one line says why
  why=''
  if ! command -v ssh >/dev/null 2>&1; then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then missing="$missing openssh-client"
    else why='there is no ssh, which the package openssh-client has'
    fi
  fi
  if [ -n "$why" ]; then :
  elif ! unshare --mount true 2>/dev/null; then why='it is started with `unshare --mount`, which does not work here'
  elif ! has_sshd; then
    if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg >/dev/null 2>&1; then why='there is no /usr/sbin/sshd, and no apt-get to fetch one with'
    else
      unpack_sshd
      [ -n "$why" ] || has_sshd || why='the one that was unpacked lacks a library'
    fi
  fi
  [ -z "$why" ] || echo "No SSH server for tests: $why. Tests that need one are left out, and say so in their names." >&2
}

missing=''
has_postgres || missing='postgresql'
has_redis || missing="$missing valkey-server"
module_can_load || missing="$missing libgomp1"
for program in "$@"; do
  if [ "$program" = sshd ]; then
    provide_sshd
  else
    command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
  fi
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  if command -v brew >/dev/null 2>&1; then install='brew install postgresql@17 valkey'
  elif command -v dnf >/dev/null 2>&1; then install='sudo dnf install -y postgresql-server valkey libgomp'
  elif command -v pacman >/dev/null 2>&1; then install='sudo pacman -S --needed postgresql valkey'
  else install='(with your package manager) PostgreSQL 15 or newer, and Valkey 7.2 or newer'
  fi
  echo "The sandbox needs programs that are not here: $missing. Nothing was changed. Type: $install $*" >&2
  exit 2
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "The sandbox needs programs that are not here: $missing. Nothing was changed. Type: sudo sh $here/scripts/provide-servers.sh $*" >&2
  exit 2
fi

work=$(mktemp -d)
policy=/usr/sbin/policy-rc.d
made_policy=''
clean() {
  rm -rf "$work"
  [ -z "$made_policy" ] || rm -f "$policy"
}
trap clean EXIT
trap 'exit 130' INT TERM

# The packages would start their services and make a first database cluster: this machine asked for programs only.
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
  made_policy=yes
fi
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
  mkdir -p /etc/postgresql-common
  echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
fi

export DEBIAN_FRONTEND=noninteractive
quietly() { "$@" > "$work/log" 2>&1 || { cat "$work/log" >&2; echo "Could not install:$missing. Tried: $*" >&2; exit 2; }; }

echo "Installing programs for the sandbox: $missing (once; no service is started)" >&2
quietly apt-get update
lists=''
case $missing in
  *valkey-server*)
    if ! apt-cache show valkey-server > /dev/null 2>&1; then
      # Debian 12 has it in backports only. They are read from the mirror that this machine already uses,
      # through lists of their own: the machine's apt configuration stays as it is.
      . /etc/os-release
      mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        awk -v release="$VERSION_CODENAME" '$2 == release { print $1; exit }')
      if [ -z "$mirror" ]; then
        echo "No apt source for $VERSION_CODENAME was found, so its backports (valkey-server) cannot be reached. Nothing was changed. Install Valkey or Redis 7.2 or newer, then run this again." >&2
        exit 2
      fi
      mkdir -p "$work/sources" "$work/lists/partial"
      cp -r /etc/apt/sources.list.d/. "$work/sources/" 2>/dev/null || true
      keyring=/usr/share/keyrings/debian-archive-keyring.gpg
      echo "deb [signed-by=$keyring] $mirror $VERSION_CODENAME-backports main" > "$work/sources/backports.list"
      chmod -R a+rX "$work"
      lists="-o Dir::Etc::SourceParts=$work/sources -o Dir::State::Lists=$work/lists -t $VERSION_CODENAME-backports"
      quietly apt-get $lists update
    fi ;;
esac
quietly apt-get $lists install -y --no-install-recommends $missing

has_postgres && has_redis && module_can_load || { echo "Installed:$missing. Still missing: PostgreSQL 15 or newer, a Redis or Valkey of at least 7.2, or libgomp." >&2; exit 2; }
