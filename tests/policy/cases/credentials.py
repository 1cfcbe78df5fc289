"""Cases of the policies about accounts and credentials."""

from baseline.model import UNKNOWN, Value
from baseline.secrets import HIDDEN
from tests.policy.cases.builders import (
    ABSENT,
    POD,
    Block,
    Case,
    Kind,
    cases,
    labelled,
    pod_case,
    resource,
    workload,
)

PASS, FAIL, MISSING, UNKNOWN_VALUE, INIT, EPHEMERAL, NESTED = Kind

APP = "containers[0]"
ACCOUNT = "core/v1:ServiceAccount"
TOKEN = "automountServiceAccountToken"
ACCOUNTS = (
    pod_case("sa-token-automount-off", PASS, "of a pod", {}),
    Case(
        "sa-token-automount-off",
        PASS,
        "of an account",
        (resource("kubernetes:core/v1:ServiceAccount", {TOKEN: False}),),
    ),
    pod_case("sa-token-automount-off", FAIL, "of a pod", {TOKEN: True}, {TOKEN: True}),
    Case(
        "sa-token-automount-off",
        FAIL,
        "of an account",
        (resource("kubernetes:core/v1:ServiceAccount", {TOKEN: True}),),
        {TOKEN: True},
    ),
    pod_case("sa-token-automount-off", MISSING, "of a pod", {TOKEN: ABSENT}, {TOKEN: ABSENT}),
    pod_case("sa-token-automount-off", UNKNOWN_VALUE, "of a pod", {TOKEN: UNKNOWN}, {TOKEN: UNKNOWN}),
    pod_case("sa-token-automount-off", NESTED, "of a pod", {TOKEN: ABSENT}, {TOKEN: ABSENT}),
    *cases(
        "dedicated-service-account",
        (PASS, "made beside it", (workload(), labelled(ACCOUNT, None)), {}),
        (
            PASS,
            "by the old name",
            (
                workload(edits={"serviceAccountName": ABSENT, "serviceAccount": "web"}),
                labelled(ACCOUNT, None),
            ),
            {},
        ),
        (
            FAIL,
            "the default one",
            (workload(edits={"serviceAccountName": "default"}), labelled(ACCOUNT, None, "default")),
            {"spec.template.spec.serviceAccountName": "default"},
        ),
        (
            FAIL,
            "of another namespace",
            (workload(), labelled(ACCOUNT, None, namespace="other")),
            {"spec.template.spec.serviceAccountName": "web"},
        ),
        (FAIL, "of nobody", (workload(POD),), {"spec.serviceAccountName": "web"}),
        (
            MISSING,
            "the name",
            (workload(edits={"serviceAccountName": ABSENT}), labelled(ACCOUNT, None)),
            {"spec.template.spec.serviceAccountName": ABSENT},
        ),
        (
            UNKNOWN_VALUE,
            "the name",
            (workload(edits={"serviceAccountName": UNKNOWN}), labelled(ACCOUNT, None)),
            {"spec.template.spec.serviceAccountName": UNKNOWN},
        ),
        (
            UNKNOWN_VALUE,
            "a name to be generated",
            (workload(), resource(f"kubernetes:{ACCOUNT}", {"metadata": {"namespace": "shop"}})),
            {"spec.template.spec.serviceAccountName": UNKNOWN},
        ),
        (
            NESTED,
            "the default one",
            (workload("kubernetes:batch/v1:CronJob", {"serviceAccountName": "default"}),),
            {"spec.jobTemplate.spec.template.spec.serviceAccountName": "default"},
        ),
    ),
)


def variable(name: str, value: Value, owner: str = "containers") -> Block:
    """Edits that give a container one variable."""
    return {f"{owner}[0].env": [{"name": name, "value": value}]}


ENV = "env[0].value"
CONFIG = "core/v1:ConfigMap"


PLAIN = "no-plaintext-credentials"
CREDENTIALS = (
    pod_case(PLAIN, PASS, "a path", variable("PASSWORD_FILE", "/run/secrets/password")),
    pod_case(PLAIN, PASS, "a path by its own name", variable("DB_PASSWORD", "/run/secrets/password")),
    pod_case(PLAIN, PASS, "a URL without one", variable("DATABASE_URL", "postgres://app@pool/shop")),
    pod_case(
        PLAIN,
        PASS,
        "from a Secret",
        {f"{APP}.env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db"}}}]},
    ),
    pod_case(PLAIN, FAIL, "by its name", variable("DB_PASSWORD", "hunter22"), {f"{APP}.{ENV}": HIDDEN}),
    pod_case(
        PLAIN,
        FAIL,
        "in a URL",
        variable("DATABASE_URL", "postgres://app:hunter22@pool/shop"),
        {f"{APP}.{ENV}": HIDDEN},
    ),
    pod_case(
        PLAIN, FAIL, "in an argument", {f"{APP}.args": ["--db-password=hunter22"]}, {f"{APP}.args[0]": HIDDEN}
    ),
    pod_case(PLAIN, FAIL, "after a flag", {f"{APP}.args": ["--token", "abc123"]}, {f"{APP}.args[1]": HIDDEN}),
    Case(
        PLAIN,
        FAIL,
        "in a ConfigMap, by its name",
        (resource(f"kubernetes:{CONFIG}", {"data": {"API_KEY": "abcdef123", "PORT": "80"}}),),
        {"data.API_KEY": HIDDEN},
    ),
    Case(
        PLAIN,
        FAIL,
        "in a settings file",
        (
            resource(
                f"kubernetes:{CONFIG}", {"data": {"app.ini": "[db]\nhost = pool\npassword = hunter22\n"}}
            ),
        ),
        {'data["app.ini"]': HIDDEN},
    ),
    Case(
        PLAIN,
        FAIL,
        "a private key",
        (resource(f"kubernetes:{CONFIG}", {"data": {"tls": "-----BEGIN EC PRIVATE KEY-----\nMHc\n"}}),),
        {"data.tls": HIDDEN},
    ),
    Case(
        PLAIN,
        PASS,
        "settings that talk about them",
        (
            resource(
                f"kubernetes:{CONFIG}",
                {
                    "data": {
                        "postgresql.conf": "password_encryption = 'scram-sha-256'\nssl = on\n",
                        "a.sh": "token=$(cat x)\n",
                    }
                },
            ),
        ),
    ),
    pod_case(PLAIN, MISSING, "no variables", {}),
    pod_case(
        PLAIN, UNKNOWN_VALUE, "by its name", variable("DB_PASSWORD", UNKNOWN), {f"{APP}.{ENV}": UNKNOWN}
    ),
    pod_case(
        PLAIN,
        INIT,
        "by its name",
        variable("API_TOKEN", "abcdef", "initContainers"),
        {f"initContainers[0].{ENV}": HIDDEN},
    ),
    pod_case(
        PLAIN,
        EPHEMERAL,
        "by its name",
        variable("API_TOKEN", "abcdef", "ephemeralContainers"),
        {f"ephemeralContainers[0].{ENV}": HIDDEN},
    ),
    pod_case(PLAIN, NESTED, "by its name", variable("CLIENT_SECRET", "abcdef"), {f"{APP}.{ENV}": HIDDEN}),
)

REFERENCE: Block = {"name": "db", "key": "password"}


def referring(owner: str) -> Block:
    """Edits that give a container a variable from a Secret."""
    return {f"{owner}[0].env": [{"name": "A", "valueFrom": {"secretKeyRef": REFERENCE}}]}


FILES = "secrets-as-files"
REF = "env[0].valueFrom.secretKeyRef"
AS_FILES = (
    pod_case(FILES, PASS, "a volume", {"volumes": [{"name": "s", "secret": {"secretName": "db"}}]}),
    pod_case(FILES, FAIL, "a variable", referring("containers"), {f"{APP}.{REF}": REFERENCE}),
    pod_case(
        FILES,
        FAIL,
        "all of a Secret",
        {f"{APP}.envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}]},
        {f"{APP}.envFrom[1].secretRef": {"name": "b"}},
    ),
    pod_case(FILES, MISSING, "no variables", {}),
    pod_case(
        FILES,
        UNKNOWN_VALUE,
        "the variables",
        {f"{APP}.env": UNKNOWN},
        {f"{APP}.env[*].valueFrom.secretKeyRef": UNKNOWN},
    ),
    pod_case(FILES, INIT, "a variable", referring("initContainers"), {f"initContainers[0].{REF}": REFERENCE}),
    pod_case(
        FILES,
        EPHEMERAL,
        "a variable",
        referring("ephemeralContainers"),
        {f"ephemeralContainers[0].{REF}": REFERENCE},
    ),
    pod_case(FILES, NESTED, "a variable", referring("containers"), {f"{APP}.{REF}": REFERENCE}),
)

CASES: tuple[Case, ...] = (*ACCOUNTS, *CREDENTIALS, *AS_FILES)
