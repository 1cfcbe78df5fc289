#!/usr/bin/env bash
# Known weaknesses of what the program, its tools and the sample application are made of.
set -euo pipefail
cd "${GITHUB_WORKSPACE:?}"
tools="${RUNNER_TEMP:?}/audit"
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet pip-audit==2.10.1
status=0
"$tools/bin/pip-audit" --no-deps --disable-pip --requirement constraints.txt || status=$?
npm audit --prefix images/sample-app --omit=dev --audit-level=high || status=$?
exit "$status"
