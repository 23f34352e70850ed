#!/usr/bin/env bash
# Prints the container engine that works here: docker or podman, or buildah,
# which builds images and runs none. GUARDIAN_TEST_ENGINE chooses.
#
#   docker/engine.sh build|run
#
# As root on a Debian or Ubuntu it installs podman where there is none.
set -euo pipefail

# A docker command may come without a daemon, or be podman by another name.
works() {
	case $1 in
	docker) [[ -n $(docker info --format '{{.ServerVersion}}' 2>/dev/null) ]] ;;
	*) "$1" info >/dev/null 2>&1 ;;
	esac
}

first() {
	for engine in "$@"; do
		if works "$engine"; then
			echo "$engine"
			return
		fi
	done
	return 1
}

install() {
	if [[ $EUID != 0 ]] || ! command -v apt-get >/dev/null; then
		echo "no container engine works here: install docker, or podman with buildah and runc" >&2
		return 1
	fi
	apt-get update >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -y podman buildah runc >&2
}

case ${1-} in
build) engines=(docker podman buildah) ;;
run) engines=(docker podman) ;;
*)
	echo "usage: docker/engine.sh build|run" >&2
	exit 64
	;;
esac
if [[ -n ${GUARDIAN_TEST_ENGINE-} ]]; then
	first "$GUARDIAN_TEST_ENGINE" || {
		echo "$GUARDIAN_TEST_ENGINE does not work here" >&2
		exit 1
	}
	exit
fi
first "${engines[@]}" || { install && first "${engines[@]}"; }
