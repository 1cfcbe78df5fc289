"""The controls of some standards, and what here answers to each beside the policies that name it themselves."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Control:
    """One control of a standard.

    Attributes:
        reference: its number, such as `CC6.1`, `A.8.13`, `Art. 32` or `5.2.2`.
        asks: what it asks for, in our words.
        policies: names of policies; beside those that name the control themselves.
        tests: files of tests, with `::` and a test where one alone is meant.
        alerts: names of alerts.
        documents: paths in docs/.
        open: what is not covered here and who has to.
    """

    reference: str
    asks: str
    policies: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    open: str = ""

    @property
    def covered(self) -> bool:
        """Whether anything here answers to it."""
        return bool(self.policies or self.tests or self.alerts or self.documents)


@dataclass(frozen=True, kw_only=True)
class Standard:
    """A standard with the controls that concern a platform.

    Attributes:
        name: with its edition.
        url: where it can be read.
        anchor: what precedes a control's number in the policies' anchors; empty if they name none of it.
        left_out: what of it is no matter of a platform.
        controls: the others.
    """

    name: str
    url: str
    anchor: str
    left_out: str
    controls: tuple[Control, ...]


_ACCESS: Final = ("rbac-no-wildcards", "rbac-no-cluster-admin", "rbac-no-escalation", "iam-least-privilege")
_RESTORE: Final = ("tests/artifact/test_restore.py", "tests/artifact/test_restore_jobs.py")
_BACKUP: Final = ("BackupTooOld", "BackupMissing", "BackupDamaged", "RecoveryPointMissed")
_WALLS: Final = ("default-deny-per-namespace", "pods-have-networkpolicy")
_EDGE: Final = ("cf-ssl-strict", "cf-min-tls-1-2", "cf-https-hsts", "ingress-tls")
_DISASTERS: Final = (
    "docs/runbooks/disaster-cluster-lost.md",
    "docs/runbooks/disaster-database-corruption.md",
    "docs/runbooks/restore-the-database.md",
)
_INCIDENT: Final = "docs/runbooks/checklist-incident.md"

SOC2: Final = Standard(
    name="SOC 2, Trust Services Criteria 2017",
    url="https://www.aicpa-cima.com/resources/download/2017-trust-services-criteria",
    anchor="SOC2-",
    left_out="CC1 to CC5 and CC9 (the organisation, its risks and its suppliers) and the privacy criteria",
    controls=(
        Control(
            reference="CC6.1",
            asks="logical access: identities, credentials, encryption",
            tests=("tests/engine/test_platform.py",),
            documents=("docs/decisions/0010-rotation-with-three-values.md",),
        ),
        Control(
            reference="CC6.2",
            asks="access is given and taken away by somebody who may",
            open="people's accounts at AWS, GitHub, Cloudflare and the cluster are managed outside of this program",
        ),
        Control(
            reference="CC6.3",
            asks="least privilege, duties apart",
            policies=_ACCESS,
            documents=("docs/runbooks/checklist-monthly.md",),
            open="who approves a deployment is set at the environments of GitHub",
        ),
        Control(
            reference="CC6.6", asks="protection against what comes from outside", policies=("cf-waf-managed",)
        ),
        Control(reference="CC6.7", asks="data in motion are protected", policies=_EDGE),
        Control(
            reference="CC6.8",
            asks="no software that nobody allowed",
            policies=("allowed-registries", "image-digest-pinned", "no-latest-tag"),
            open="signatures of images are not verified when a pod starts",
        ),
        Control(
            reference="CC7.1",
            asks="known weaknesses are found",
            documents=("docs/runbooks/checklist-weekly.md",),
        ),
        Control(
            reference="CC7.2",
            asks="what is unusual is noticed",
            alerts=("DatabaseDown", "PoolDown", "CacheDown"),
        ),
        Control(reference="CC7.3", asks="incidents are judged", documents=(_INCIDENT,)),
        Control(reference="CC7.4", asks="incidents are answered", documents=(_INCIDENT,)),
        Control(reference="CC7.5", asks="recovery from incidents", tests=_RESTORE, documents=_DISASTERS),
        Control(
            reference="CC8.1",
            asks="changes are authorised, tested and reviewed",
            tests=(
                "tests/unit/test_gate.py",
                "tests/unit/test_promote.py",
                "tests/engine/test_release.py",
            ),
            documents=("docs/runbooks/checklist-pre-deploy.md", "docs/runbooks/roll-back-a-release.md"),
            open="that a change needs a second person is a setting of the repository",
        ),
        Control(
            reference="A1.1", asks="capacity", alerts=("DataVolumeFullSoon", "DatabaseConnectionsNearLimit")
        ),
        Control(
            reference="A1.2",
            asks="backups and what they need to be safe",
            tests=("tests/artifact/test_backup.py", "tests/unit/test_backup_buckets.py"),
            alerts=_BACKUP,
        ),
        Control(
            reference="A1.3",
            asks="recovery is tested",
            tests=_RESTORE,
            alerts=("RecoveryTimeMissed",),
            documents=("docs/runbooks/restore-test-failed.md",),
        ),
        Control(reference="PI1.4", asks="what is stored is encrypted and whole"),
        Control(reference="PI1.5", asks="what is stored can't be changed unnoticed"),
        Control(
            reference="C1.1",
            asks="confidential data are known and protected",
            policies=("no-plaintext-credentials", "secrets-as-files", "s3-public-access-block"),
            open="which of the product's data are confidential, its owners have to say",
        ),
        Control(
            reference="C1.2",
            asks="confidential data are disposed of",
            policies=("s3-lifecycle", "backup-retention-agrees"),
            open="deletion of rows is the application's",
        ),
    ),
)

ISO: Final = Standard(
    name="ISO/IEC 27001:2022, Annex A",
    url="https://www.iso.org/standard/27001",
    anchor="",
    left_out="A.5 but for those below, A.6 (people) and A.7 (premises)",
    controls=(
        Control(reference="A.5.15", asks="access control", policies=_ACCESS),
        Control(
            reference="A.5.17",
            asks="authentication information",
            policies=("no-plaintext-credentials", "secrets-as-files"),
            tests=("tests/unit/test_secrets_table.py", "tests/engine/test_platform.py"),
            documents=("docs/decisions/0010-rotation-with-three-values.md",),
        ),
        Control(reference="A.5.26", asks="answer to incidents", documents=(_INCIDENT,)),
        Control(
            reference="A.5.28", asks="evidence is collected", open="no logs are kept here beyond the cluster"
        ),
        Control(reference="A.5.30", asks="readiness for continuity", tests=_RESTORE, documents=_DISASTERS),
        Control(
            reference="A.8.2",
            asks="privileged access",
            policies=("rbac-no-cluster-admin", "rbac-no-escalation", "rbac-no-secret-reads"),
        ),
        Control(reference="A.8.6", asks="capacity", policies=("resource-requests-limits", "hpa-valid")),
        Control(reference="A.8.7", asks="malware", open="images are not scanned while they run"),
        Control(
            reference="A.8.8",
            asks="technical weaknesses",
            policies=("allowed-registries", "no-latest-tag"),
            documents=("docs/runbooks/checklist-weekly.md",),
        ),
        Control(
            reference="A.8.9",
            asks="configuration is managed",
            policies=("required-labels-tags",),
            tests=("tests/unit/test_settings.py", "tests/unit/test_urns.py"),
            documents=("docs/reference/settings.md",),
        ),
        Control(reference="A.8.12", asks="data do not leak", policies=("s3-public-access-block", *_WALLS)),
        Control(
            reference="A.8.13",
            asks="backups",
            policies=("backup-contract", "backup-retention-agrees"),
            tests=("tests/artifact/test_backup.py", *_RESTORE),
            alerts=_BACKUP,
        ),
        Control(
            reference="A.8.14",
            asks="redundancy",
            policies=("min-replicas", "pdb-per-workload", "topology-spread"),
            alerts=("BackupReplicaBehind", "DatabaseStandbyDown"),
            open="one cluster in one region; the copy of the backups alone is elsewhere",
        ),
        Control(
            reference="A.8.15",
            asks="logging",
            policies=("s3-access-logging",),
            open="the cluster's audit log and AWS CloudTrail are set up outside of this program",
        ),
        Control(
            reference="A.8.16", asks="monitoring", policies=("workloads-monitored", "alerts-have-runbooks")
        ),
        Control(
            reference="A.8.20",
            asks="network security",
            policies=_WALLS,
            documents=("docs/reference/reachability.md",),
        ),
        Control(
            reference="A.8.22",
            asks="networks are apart",
            policies=_WALLS,
            tests=("tests/unit/test_reachability_of_stacks.py",),
        ),
        Control(
            reference="A.8.24",
            asks="cryptography",
            policies=(*_EDGE, "s3-sse-kms", "s3-tls-only", "tls-between-tiers"),
            documents=("docs/runbooks/rotate-internal-ca.md",),
            open="encryption of volumes is the storage class's",
        ),
        Control(reference="A.8.25", asks="secure development", tests=("tests/unit/test_workflows.py",)),
        Control(
            reference="A.8.31",
            asks="environments are apart",
            documents=("docs/guides/add-an-environment.md",),
        ),
        Control(
            reference="A.8.32",
            asks="changes are managed",
            tests=("tests/unit/test_comment.py", "tests/unit/test_gate.py", "tests/unit/test_workflows.py"),
            documents=("docs/runbooks/checklist-pre-deploy.md",),
        ),
    ),
)

GDPR: Final = Standard(
    name="GDPR (Regulation (EU) 2016/679)",
    url="https://eur-lex.europa.eu/eli/reg/2016/679/oj",
    anchor="",
    left_out="everything but the security of processing and what a platform can do for the rest",
    controls=(
        Control(
            reference="Art. 5 (1) e",
            asks="data are not kept longer than needed",
            policies=("s3-lifecycle", "backup-retention-agrees"),
            open="how long rows are kept is the application's; a deleted row stays in backups for the retention",
        ),
        Control(
            reference="Art. 17", asks="erasure", open="the application's; the backups forget after 30 days"
        ),
        Control(
            reference="Art. 25",
            asks="protection by design and by default",
            policies=(*_WALLS, "no-plaintext-credentials"),
            documents=("docs/architecture.md",),
        ),
        Control(
            reference="Art. 28",
            asks="contracts with those who process",
            open="with AWS and Cloudflare, and who else sees data: the organisation's",
        ),
        Control(reference="Art. 30", asks="records of processing", open="the organisation's"),
        Control(
            reference="Art. 32 (1) a",
            asks="encryption and pseudonyms",
            policies=("s3-sse-kms", "s3-tls-only", *_EDGE),
            open="pseudonyms are the application's",
        ),
        Control(
            reference="Art. 32 (1) b",
            asks="confidentiality, integrity, availability, resilience",
            policies=("min-replicas", "pdb-per-workload", "iam-least-privilege"),
        ),
        Control(
            reference="Art. 32 (1) c",
            asks="access can be restored in time",
            tests=_RESTORE,
            documents=_DISASTERS,
        ),
        Control(
            reference="Art. 32 (1) d",
            asks="measures are tested regularly",
            tests=("tests/artifact/test_restore_jobs.py", "tests/policy/test_mutations.py"),
            documents=("docs/runbooks/checklist-weekly.md", "docs/runbooks/checklist-monthly.md"),
        ),
        Control(reference="Art. 33", asks="the authority is told within 72 hours", documents=(_INCIDENT,)),
        Control(reference="Art. 35", asks="impact assessment", open="the organisation's"),
        Control(
            reference="Art. 44",
            asks="transfers to other countries",
            documents=("docs/reference/settings.md",),
            open="both regions of the buckets are settings, and lie in the EU as set; Cloudflare serves worldwide",
        ),
    ),
)

CIS: Final = Standard(
    name="CIS Controls v8.1",
    url="https://www.cisecurity.org/controls/v8-1",
    anchor="",
    left_out="1, 2, 9, 10, 14 and 15 (devices, mail, training, suppliers)",
    controls=(
        Control(
            reference="3.3",
            asks="data have access lists",
            policies=("rbac-no-secret-reads", "s3-public-access-block"),
        ),
        Control(
            reference="3.4",
            asks="data are kept as long as said",
            policies=("s3-lifecycle", "backup-retention-agrees"),
        ),
        Control(
            reference="3.10",
            asks="sensitive data in motion are encrypted",
            policies=(*_EDGE, "tls-between-tiers"),
        ),
        Control(
            reference="3.11",
            asks="sensitive data at rest are encrypted",
            policies=("s3-sse-kms",),
            open="volumes: the storage class's",
        ),
        Control(
            reference="4.1",
            asks="a secure configuration is kept up",
            policies=("namespace-pss-restricted",),
            tests=("tests/policy/test_mutations.py",),
            documents=("docs/reference/policies.md",),
        ),
        Control(reference="4.4", asks="firewalls on servers", policies=_WALLS),
        Control(
            reference="5.4", asks="administrators have accounts of their own", open="outside of this program"
        ),
        Control(reference="6.8", asks="access by role", policies=_ACCESS),
        Control(
            reference="7.1", asks="weaknesses are managed", documents=("docs/runbooks/checklist-weekly.md",)
        ),
        Control(
            reference="8.2",
            asks="audit logs are collected",
            policies=("s3-access-logging",),
            open="the cluster's audit log and AWS CloudTrail",
        ),
        Control(
            reference="11.2",
            asks="automated backups",
            policies=("backup-contract",),
            tests=("tests/unit/test_backup_schedule.py",),
            alerts=_BACKUP,
        ),
        Control(reference="11.3", asks="backups are protected", policies=("s3-object-lock", "s3-versioning")),
        Control(
            reference="11.4",
            asks="a copy apart",
            tests=("tests/unit/test_backup_retention.py",),
            alerts=("BackupReplicaBehind",),
        ),
        Control(
            reference="11.5",
            asks="recovery is tested",
            tests=_RESTORE,
            documents=("docs/runbooks/restore-test-failed.md",),
        ),
        Control(
            reference="12.2",
            asks="networks are built secure",
            policies=_WALLS,
            documents=("docs/reference/reachability.md",),
        ),
        Control(
            reference="13.10",
            asks="filtering at the application's layer",
            policies=("cf-waf-managed", "cf-rate-limit"),
        ),
        Control(reference="16.1", asks="secure development", tests=("tests/unit/test_workflows.py",)),
        Control(reference="17.4", asks="incidents are answered by a process", documents=(_INCIDENT,)),
        Control(reference="18.1", asks="penetration tests", open="nobody has made any"),
    ),
)
