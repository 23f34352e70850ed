#!/usr/bin/env bash
# Makes archives of both programs for each of PLATFORMS, and SHA256SUMS, in dist/. The
# same commit and the same Go make the same bytes, wherever and whenever: paths, times
# (the commit's, or SOURCE_DATE_EPOCH), owners and order are fixed. Needs GNU tar.
set -euo pipefail
cd "$(dirname "$0")/.."

tar --version 2>/dev/null | grep -q 'GNU tar' || { echo "dist needs GNU tar" >&2; exit 1; }
version=$(sed -n 's/^const Version = "\(.*\)"$/\1/p' api/api.go)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} || { echo "not in git: set SOURCE_DATE_EPOCH" >&2; exit 1; }
export CGO_ENABLED=0 LC_ALL=C TZ=UTC
umask 022

rm -rf dist
for platform in $PLATFORMS; do
	name=guardian-$version-${platform/\//-}
	echo "$name.tar.gz"
	mkdir -p "dist/$name"
	GOOS=${platform%/*} GOARCH=${platform#*/} go build -trimpath -buildvcs=false -ldflags '-s -w' \
		-o "dist/$name/" ./cmd/guardian ./cmd/guardianctl
	cp LICENSE README.md "dist/$name/"
	chmod 755 "dist/$name" "dist/$name/"guardian*
	chmod 644 "dist/$name/LICENSE" "dist/$name/README.md"
	tar --format=ustar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner \
		-C dist -cf - "$name" | gzip -9n >"dist/$name.tar.gz"
	rm -r "dist/$name"
done
cd dist && sha256sum -- *.tar.gz >SHA256SUMS
