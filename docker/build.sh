#!/usr/bin/env bash
# Builds the image from bin/ with whatever builds images here, and tags it
# guardian:latest and guardian:VERSION.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(bin/guardian --version)
engine=$(docker/engine.sh build)
case $engine in
docker) build=(docker build) ;;
podman) build=(podman build --layers=false --format docker) ;; # OCI's format has no HEALTHCHECK
buildah) build=(buildah build --format docker) ;;
esac
echo "building with $engine"
"${build[@]}" -f docker/Dockerfile -t "guardian:${version##* }" -t guardian:latest .
