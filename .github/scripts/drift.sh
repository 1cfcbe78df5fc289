#!/usr/bin/env bash
# Compares STACK with what really stands, and keeps one issue open as long as the two differ.
set -euo pipefail
cd "${GITHUB_WORKSPACE:?}"
python=.venv/bin/python
comment="build/comment-${STACK:?}.md"
"$python" -m delivery.review --stack "$STACK" --account --refresh
cat "$comment" >>"${GITHUB_STEP_SUMMARY:?}"
if [ "$(jq '.changes | length' "build/preview-$STACK.json")" = 0 ]; then
    "$python" -m delivery.github issue --title "Drift of $STACK" </dev/null
else
    "$python" -m delivery.github issue --title "Drift of $STACK" <"$comment"
    echo "drift: stack $STACK is not what was deployed; the issue tells where" >&2
    exit 1
fi
