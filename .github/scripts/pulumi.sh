#!/usr/bin/env bash
# Puts the pinned pulumi, as its makers give it, on the PATH of the job's next steps.
set -euo pipefail
cd "${GITHUB_WORKSPACE:?}"
.venv/bin/python -m delivery.account --folder "${RUNNER_TEMP:?}/pulumi" >>"${GITHUB_PATH:?}"
