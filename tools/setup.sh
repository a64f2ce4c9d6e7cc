#!/usr/bin/env bash
# Checks that everything the tests need is installed.
#
#   tools/setup.sh           installs what is missing if it may (root, or CI set); otherwise prints
#                            the command that installs it, and exits with 2
#   tools/setup.sh install   installs what is missing, or fails
set -euo pipefail
cd "$(dirname "$0")/.."

# What the tests need from the system: two browsers, fonts for Chinese and emoji, Python for the
# example client, openssl for the certificates of some tests, two proxies, Prometheus, a C compiler for linking.
declare -A package_of=(
  [chromium]=chromium
  [firefox-esr]=firefox-esr
  [openssl]=openssl
  [cc]=gcc
  [python3]=python3
  [nginx]=nginx
  [caddy]=caddy
  [prometheus]=prometheus
)
node_least="20.19.0"

# Programs whose packages start a service, which the tests have no use for.
services=(nginx caddy prometheus)

missing_packages() {
  local command PATH="$PATH:/usr/sbin"
  for command in "${!package_of[@]}"; do
    command -v "$command" >/dev/null 2>&1 || echo "${package_of[$command]}"
  done
  fc-list 2>/dev/null | grep -qi "NotoSansCJK\|Noto Sans CJK" || echo fonts-noto-cjk
  fc-list 2>/dev/null | grep -qi "NotoColorEmoji" || echo fonts-noto-color-emoji
  python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || echo python3-venv
}

node_is_new_enough() {
  command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || return 1
  [ "$(printf '%s\n' "$node_least" "$(node --version | tr -d v)" | sort -V | head -1)" = "$node_least" ]
}

# A stamp holds the checksum of what was installed; a changed lock file installs again.
stale() { # FOLDER STAMP SOURCES…
  local folder=$1 stamp=$2; shift 2
  [ -d "$folder" ] && [ -f "$stamp" ] && [ "$(cat "$@" | sha256sum)" = "$(cat "$stamp")" ] && return 1
  return 0
}
packages_folders=(web tools/golden/text tools/clients)
python_packages=(examples/requirements.txt tools/clients/requirements.txt)

stale_parts() {
  local folder
  for folder in "${packages_folders[@]}"; do
    [ -f "$folder/package-lock.json" ] || continue
    stale "$folder/node_modules" "$folder/node_modules/.installed" "$folder/package-lock.json" && echo "$folder"
  done
  stale .venv .venv/.installed "${python_packages[@]}" && echo ".venv"
  return 0
}

# Debian's way to say that a package must not start anything: a program that answers 101.
without_starting_services() { # PACKAGES…
  local policy=/usr/sbin/policy-rc.d service
  if [ ! -e "$policy" ]; then
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
  fi
  apt-get install -q -y --no-install-recommends "$@"
  # Nor when the machine starts the next time.
  for service in "${services[@]}"; do
    case " $* " in *" $service "*) systemctl disable --quiet "$service" 2>/dev/null || true ;; esac
  done
}

install_packages() {
  local packages
  packages=$(missing_packages)
  if [ -n "$packages" ]; then
    [ "$(id -u)" = 0 ] || { echo "setup: installing $(echo $packages) needs root" >&2; exit 2; }
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # shellcheck disable=SC2086 # one word per package
    without_starting_services $packages
  fi
  if ! node_is_new_enough; then
    [ "$(id -u)" = 0 ] || { echo "setup: installing Node.js needs root" >&2; exit 2; }
    command -v npm >/dev/null 2>&1 || { apt-get update -q; apt-get install -q -y --no-install-recommends nodejs npm; }
    # Debian's own may be too old for the page's build tool; the registry has newer ones.
    node_is_new_enough || npm install --global --no-fund --no-audit node@22
    hash -r
    node_is_new_enough || { echo "setup: Node.js $node_least or newer is needed, found $(node --version)" >&2; exit 2; }
  fi
}

install_parts() {
  local part
  for part in $(stale_parts); do
    if [ "$part" = .venv ]; then
      python3 -m venv .venv
      .venv/bin/pip install --quiet --disable-pip-version-check "${python_packages[@]/#/-r}"
      cat "${python_packages[@]}" | sha256sum > .venv/.installed
    else
      (cd "$part" && npm ci --ignore-scripts --no-fund --no-audit --loglevel=error)
      cat "$part/package-lock.json" | sha256sum > "$part/node_modules/.installed"
    fi
    # Under sudo the checkout still belongs to the user who called it.
    [ -z "${SUDO_UID:-}" ] || chown -R "$SUDO_UID:$SUDO_GID" "$([ "$part" = .venv ] && echo .venv || echo "$part/node_modules")"
  done
}

may_install() { [ "${1:-}" = install ] || [ "$(id -u)" = 0 ] || [ -n "${CI:-}" ]; }

command -v cargo >/dev/null 2>&1 || { echo "setup: Rust is needed first: https://rustup.rs" >&2; exit 2; }
if may_install "${1:-}"; then
  install_packages
  install_parts
elif [ -n "$(missing_packages)$(stale_parts)" ] || ! node_is_new_enough; then
  echo "Some things the tests need are missing. Install them with:  sudo make setup" >&2
  exit 2
fi
