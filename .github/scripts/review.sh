#!/usr/bin/env bash
# Previews STACK for a pull request: comment, order of the stacks, gate.
#   BASE      the revision that the pull request goes to
#   ACCOUNT   `true`: ask the account what really stands; else over simulated providers, against BASE
#   NUMBER    the pull request's number; without one the comment is in the job's summary alone
#   LABELS    the pull request's labels, as JSON
set -euo pipefail
cd "${GITHUB_WORKSPACE:?}"
python=.venv/bin/python
comment="build/comment-${STACK:?}.md"

status=0
if [ "${ACCOUNT:-}" = true ]; then
    "$python" -m delivery.review --stack "$STACK" --account || status=$?
else
    "$python" -m delivery.review --stack "$STACK" --base "${BASE:?}" || status=$?
fi
if [ -f "$comment" ]; then
    cat "$comment" >>"${GITHUB_STEP_SUMMARY:?}"
    if [ -n "${NUMBER:-}" ]; then
        "$python" -m delivery.github comment --number "$NUMBER" <"$comment"
    fi
    "$python" -m delivery.gate --stack "$STACK" --labels "${LABELS:-}" || status=$?
fi
"$python" -m delivery.promote --check --base "${BASE:?}" || status=$?
exit "$status"
