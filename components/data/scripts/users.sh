#!/bin/sh
# Makes the users that only this pod has: who renews the certificate and asks for the probes, and who counts. Their
# passwords are made here, are kept in memory, and end with the pod; nobody outside ever knows them.
#
# Environment: OPERATOR_RULES, EXPORTER_RULES, what each may do; EXPORTER_ENTRY, by what the exporter finds its
# password in the file.
set -eu
umask 077

operator=/run/cache/operator
exporter=/run/cache/exporter

# A pod's first steps may be taken again; who runs already must not be locked out.
[ ! -e "$operator/users.conf" ] || exit 0

password() {
    read=$(od -v -An -N 32 -t x1 -w32 /dev/urandom)
    made=$(printf %s "$read" | tr -d ' ')
    [ ${#made} -eq 64 ] || { echo 'no randomness for a password' >&2; exit 1; }
    printf %s "$made"
}

user() {
    hash=$(printf %s "$2" | sha256sum)
    printf 'user %s reset on #%s %s\n' "$1" "${hash%% *}" "$3"
}

of_operator=$(password)
of_exporter=$(password)
printf %s "$of_operator" >"$operator/password"
printf '{"%s": "%s"}\n' "$EXPORTER_ENTRY" "$of_exporter" >"$exporter/exporter.json"
# The last, and whole: it says that all is done.
{
    user operator "$of_operator" "$OPERATOR_RULES"
    user exporter "$of_exporter" "$EXPORTER_RULES"
} >"$operator/.users.conf"
mv "$operator/.users.conf" "$operator/users.conf"
