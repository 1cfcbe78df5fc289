#!/usr/bin/env bash
# Takes STACK's last release back, and leaves an issue with what of its file has to be committed; also where the way
# back stopped halfway, since the file says then what was begun.
set -euo pipefail
cd "${GITHUB_WORKSPACE:?}"
python=.venv/bin/python
file="Pulumi.${STACK:?}.yaml"
fence='```'
status=0
"$python" -m delivery.rollback --stack "$STACK" --yes || status=$?
if ! git diff --quiet -- "$file"; then
    left="build/rollback-$STACK.md"
    {
        if [ "$status" = 0 ]; then
            echo "\`$STACK\` runs the images of the release before. Commit this, or the next merge goes forward again:"
        else
            echo "\`$STACK\` is not back yet: the run's log says where it stopped. What was to be deployed:"
        fi
        printf '\n%sdiff\n%s\n%s\n' "$fence" "$(git diff -- "$file")" "$fence"
    } >"$left"
    cat "$left" >>"${GITHUB_STEP_SUMMARY:?}"
    "$python" -m delivery.github issue --title "Rollback of $STACK" <"$left"
fi
exit "$status"
