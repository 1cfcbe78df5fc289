#!/usr/bin/env bash
# Brings STACK up: preview, gate, and what the preview planned. The labels are those of the pull request whose
# merge this is.
set -euo pipefail
cd "${GITHUB_WORKSPACE:?}"
python=.venv/bin/python
labels=$("$python" -m delivery.github labels --commit "${GITHUB_SHA:?}")
status=0
"$python" -m delivery.deploy --stack "${STACK:?}" --labels "$labels" || status=$?
comment="build/comment-$STACK.md"
if [ -f "$comment" ]; then
    cat "$comment" >>"${GITHUB_STEP_SUMMARY:?}"
fi
exit "$status"
