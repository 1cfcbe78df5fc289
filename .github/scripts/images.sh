#!/usr/bin/env bash
# Builds the images of images/ that a stack's file names, under the very tags that it names. With PUSH=true they go
# to the registry, with their parts list and how they were made; a tag that is there already is never overwritten.
set -euo pipefail
cd "${GITHUB_WORKSPACE:?}"
if [ "${PUSH:-}" = true ]; then
    printf '%s' "${GITHUB_TOKEN:?}" | docker login ghcr.io --username "${GITHUB_ACTOR:?}" --password-stdin
fi
for folder in images/*/; do
    name=$(basename "$folder")
    for reference in $({ grep -ohE "ghcr\.io/[a-z0-9-]+/$name:[A-Za-z0-9._-]+" Pulumi.*.yaml || true; } | sort -u); do
        if [ "${PUSH:-}" != true ]; then
            docker buildx build --tag "$reference" "$folder"
        elif docker buildx imagetools inspect "$reference" >/dev/null 2>&1; then
            echo "images: $reference is there already"
        else
            docker buildx build --push --provenance=mode=max --sbom=true --tag "$reference" "$folder"
            digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$reference")
            echo "- \`$reference@$digest\`" >>"${GITHUB_STEP_SUMMARY:?}"
        fi
    done
done
