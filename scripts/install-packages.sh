#!/bin/bash
# Installs the Debian packages of the named groups (see packages.txt) that are missing; does nothing, and needs no
# rights, when none is. Nothing else of the machine changes: no service is started or enabled, no database is created.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { echo "packages: $*" >&2; }

if [[ $# -eq 0 ]]; then
    say "usage: install-packages.sh GROUP... (the groups are in scripts/packages.txt)"
    exit 64
fi
if [[ -n ${HOLDFAST_SKIP_PACKAGES:-} ]]; then
    exit 0
fi
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "this is not a Debian system, and Holdfast is built and tested on Debian 12."
    say "Install the equivalents of scripts/packages.txt, then repeat with HOLDFAST_SKIP_PACKAGES=1."
    exit 1
fi

packages_of() { # prints the packages of the groups given
    local line group=""
    while read -r line; do
        case $line in
            '' | '#'*) ;;
            '['*']') group=${line:1:-1} ;;
            *) [[ " $* " == *" $group "* ]] && echo "$line" ;;
        esac
    done <"$here/packages.txt" | sort -u
}

declare -A installed=()
read_installed() {
    local status name
    while read -r status name; do
        [[ $status != installed ]] || installed[$name]=yes
    done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n')
}
read_installed

# What another package provides is there, too: a newer node brings its own npm and refuses Debian's beside it.
is_provided() {
    grep -qE "^installed (.*, )?$1( \(|,|\$)" <<<"$(dpkg-query -W -f '${db:Status-Status} ${Provides}\n')"
}

missing=()
for package in $(packages_of "$@"); do
    [[ -n ${installed[$package]:-} ]] || is_provided "$package" || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then
    exit 0
fi

# shellcheck source=/dev/null
. /etc/os-release
if [[ ${ID:-} != debian || ${VERSION_ID:-} != 12 ]]; then
    say "this is ${PRETTY_NAME:-an unknown system}; Holdfast is built and tested on Debian 12."
    say "Missing here, by their names on Debian 12: ${missing[*]}"
    say "Install their equivalents, then repeat with HOLDFAST_SKIP_PACKAGES=1."
    exit 1
fi

# Debian lets only one Boost version's headers be installed. apt would remove the other without a question.
if [[ " ${missing[*]} " == *" libboost"* ]]; then
    old=$(printf '%s\n' "${!installed[@]}" | grep -E '^libboost([a-z+-]*1\.74|[a-z+-]*)-dev$' | sort | tr '\n' ' ' || true)
    if [[ -n $old ]]; then
        say "Holdfast needs Boost 1.81 (for Boost.URL). Debian cannot install it beside the headers of Boost 1.74,"
        say "which are here. If nothing else needs them, remove them and repeat:"
        say "    sudo apt-get remove $old"
        exit 1
    fi
fi

if [[ $(id -u) -ne 0 ]]; then
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
        say "installing through sudo: ${missing[*]}"
        exec sudo bash "${BASH_SOURCE[0]}" "$@"
    fi
    say "these packages are missing and only root may install them. Run this, then repeat:"
    say "    sudo apt-get install --no-install-recommends ${missing[*]}"
    exit 1
fi

policy=/usr/sbin/policy-rc.d
cluster_conf=/etc/postgresql-common/createcluster.conf
undo() {
    [[ -z ${policy_is_ours:-} ]] || rm -f "$policy"
    [[ -z ${saved_conf:-} ]] || mv -f "$saved_conf" "$cluster_conf"
    [[ -z ${log:-} ]] || rm -f "$log"
}
trap undo EXIT
trap 'exit 130' INT TERM HUP
log=$(mktemp)

# Servers are installed for their programs only. Without this Debian would start each as a service of the machine.
if [[ ! -e $policy ]]; then
    policy_is_ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"; }
updated=""
update() {
    [[ -z $updated ]] || return 1
    updated=yes
    apt update >>"$log" 2>&1 || say "apt-get update reported an error; trying all the same"
}
install() { apt install --no-install-recommends "$@" >>"$log" 2>&1; }

say "installing ${missing[*]}"
for package in "${missing[@]}"; do
    if [[ -z $(apt-cache show --no-all-versions "$package" 2>/dev/null) ]]; then
        update || true
        break
    fi
done

if [[ " ${missing[*]} " == *" postgresql-15 "* ]]; then
    # Debian's package creates a database cluster `main` on its first installation, unless this file says no.
    [[ -n ${installed[postgresql-common]:-} ]] || install postgresql-common ||
        { update && install postgresql-common; }
    saved_conf=$(mktemp "$cluster_conf.XXXXXX")
    cp -p "$cluster_conf" "$saved_conf"
    echo 'create_main_cluster = false' >>"$cluster_conf"
fi
install "${missing[@]}" || { update && install "${missing[@]}"; } || {
    tail -n 40 "$log" >&2
    say "apt-get could not install them; this is what it tried:"
    say "    apt-get install --no-install-recommends ${missing[*]}"
    exit 1
}

# Nor shall they start with the next boot.
for service in redis-server:redis-server etcd-server:etcd; do
    if [[ " ${missing[*]} " == *" ${service%%:*} "* ]]; then
        update-rc.d "${service##*:}" disable >>"$log" 2>&1 || true
    fi
done
