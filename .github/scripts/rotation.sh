#!/usr/bin/env bash
# Looks for credentials of STACK that are older than they may be, and keeps one issue open as long as there is one.
set -euo pipefail
cd "${GITHUB_WORKSPACE:?}"
python=.venv/bin/python
page="${RUNNER_TEMP:?}/rotation-${STACK:?}.md"
status=0
"$python" -m delivery.rotation --stack "$STACK" >"$page" || status=$?
if [ "$status" -gt 1 ]; then
    exit "$status"
fi
cat "$page" >>"${GITHUB_STEP_SUMMARY:?}"
if [ "$status" = 0 ]; then
    "$python" -m delivery.github issue --title "Credentials of $STACK" </dev/null
else
    "$python" -m delivery.github issue --title "Credentials of $STACK" <"$page"
fi
exit "$status"
