#!/usr/bin/env bash
# Lets the job's own identity take over AWS_ROLE_ARN for an hour. No key is stored anywhere; what comes back lies
# in a file that only this job's user reads, and is in no argument and no log.
#   CLUSTER, CONTEXT   an EKS cluster, and the kubeconfig's context that the stack's file names for it
set -euo pipefail
umask 077
folder="${RUNNER_TEMP:?}/identity"
mkdir -p "$folder"
audience=sts.amazonaws.com

# A header of curl's configuration comes by its standard input: printf is the shell's own, so nothing shows in `ps`.
printf 'header = "Authorization: bearer %s"\n' "${ACTIONS_ID_TOKEN_REQUEST_TOKEN:?this job needs id-token: write}" |
    curl --config - --silent --show-error --fail --retry 3 --max-time 30 \
        "${ACTIONS_ID_TOKEN_REQUEST_URL:?}&audience=$audience" |
    jq --join-output --exit-status .value >"$folder/token"

aws sts assume-role-with-web-identity --region "${AWS_REGION:?}" --role-arn "${AWS_ROLE_ARN:?}" \
    --role-session-name "github-${GITHUB_RUN_ID:?}" --duration-seconds 3600 \
    --web-identity-token "file://$folder/token" \
    --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' --output text >"$folder/session"
rm "$folder/token"
read -r key secret session <"$folder/session"
printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n' \
    "$key" "$secret" "$session" >"$folder/credentials"
rm "$folder/session"
{
    echo "AWS_SHARED_CREDENTIALS_FILE=$folder/credentials"
    echo "AWS_REGION=$AWS_REGION"
} >>"${GITHUB_ENV:?}"

if [ -n "${CLUSTER:-}" ]; then
    AWS_SHARED_CREDENTIALS_FILE="$folder/credentials" aws eks update-kubeconfig --region "$AWS_REGION" \
        --name "$CLUSTER" --alias "${CONTEXT:?}" --kubeconfig "$folder/kubeconfig"
    echo "KUBECONFIG=$folder/kubeconfig" >>"$GITHUB_ENV"
fi
