"""What pgBackRest and rclone are told, as text: pure functions, and no secret.

Sources: https://pgbackrest.org/configuration.html, https://rclone.org/s3/
"""

from collections.abc import Sequence
from typing import Final

import pulumi

STANZA: Final = "main"
REPOSITORY_PATH: Final = "/pgbackrest"
CONFIG_FOLDER: Final = "/etc/pgbackrest"
SECRETS_FOLDER: Final = "/run/secrets/repository"
SERVER_PORT: Final = 8432
"""pgBackRest's own choice. Source: https://pgbackrest.org/configuration.html#section-server"""
CLIENT: Final = "backup"
"""The common name of the one certificate that may take backups: it may read all of the database's files."""


def pgbackrest_conf(
    *,
    bucket: pulumi.Input[str],
    region: pulumi.Input[str],
    endpoint: pulumi.Input[str],
    path_style: bool,
    authority: bool,
    web_identity: bool,
) -> pulumi.Output[str]:
    """Where the repository is and how it is written, as the beginning of pgbackrest.conf.

    Args:
        bucket: the bucket's name.
        region: its region.
        endpoint: `host` or `host:port`.
        path_style: whether the bucket is named in the path.
        authority: whether `ca.crt`, beside the file, is trusted instead of the system's authorities.
        web_identity: whether the pod's own token is shown, and not an access key.
    """
    style = "path" if path_style else "host"
    keys = "web-id" if web_identity else "shared"
    fixed = [
        "[global]",
        "repo1-type=s3",
        f"repo1-path={REPOSITORY_PATH}",
        f"repo1-s3-uri-style={style}",
        f"repo1-s3-key-type={keys}",
        "repo1-cipher-type=aes-256-cbc",
        # Small files together, and of large ones only the blocks that have changed.
        "repo1-bundle=y",
        "repo1-block=y",
        "compress-type=zst",
        "compress-level=3",
        "lock-path=/tmp/pgbackrest",
        "spool-path=/tmp/pgbackrest-spool",
        "log-level-console=warn",
        "log-level-file=off",
        # A peer that is gone without a word is noticed.
        "tcp-keep-alive-idle=60",
        "tcp-keep-alive-interval=10",
        "tcp-keep-alive-count=3",
    ]
    if authority:
        fixed.append(f"repo1-storage-ca-file={CONFIG_FOLDER}/ca.crt")
    return pulumi.Output.concat(
        _lines(fixed),
        *("repo1-s3-bucket=", bucket, "\n"),
        *("repo1-s3-region=", region, "\n"),
        *("repo1-s3-endpoint=", endpoint, "\n\n"),
    )


def server_conf(*, data_folder: str, port: int, socket: str, database: str, tls: str, processes: int) -> str:
    """What makes the database's pod the one that backups are taken from, as lines of pgbackrest.conf.

    Args:
        data_folder: PGDATA.
        port: PostgreSQL's.
        socket: the folder of its socket.
        database: the product's database, where the role `backup` has its rights.
        tls: the folder of the database's certificate.
        processes: how many files a restore works on at once.
    """
    return _lines(
        [
            f"[{STANZA}]",
            f"pg1-path={data_folder}",
            f"pg1-port={port}",
            f"pg1-socket-path={socket}",
            f"pg1-database={database}",
            "pg1-user=backup",
            "",
            "[global:server]",
            "tls-server-address=*",
            f"tls-server-port={SERVER_PORT}",
            f"tls-server-cert-file={tls}/tls.crt",
            f"tls-server-key-file={tls}/tls.key",
            f"tls-server-ca-file={tls}/ca.crt",
            f"tls-server-auth={CLIENT}={STANZA}",
            "",
            "[global:restore]",
            f"process-max={processes}",
        ]
    )


def client_conf(
    *,
    host: pulumi.Input[str],
    data_folder: str,
    tls: str,
    processes: int,
    retention_days: int,
    archive_seconds: int = 300,
) -> pulumi.Output[str]:
    """What takes backups from the database's pod, as lines of pgbackrest.conf.

    Args:
        host: the name of the database's Service.
        data_folder: PGDATA there.
        tls: the folder of the certificate that is shown.
        processes: how many files are worked on at once.
        retention_days: for how long one can restore to any point in time.
        archive_seconds: how long a backup waits for its last WAL to be archived.
    """
    return pulumi.Output.concat(
        _lines(
            [
                f"[{STANZA}]",
                f"pg1-path={data_folder}",
                "pg1-host-type=tls",
                f"pg1-host-port={SERVER_PORT}",
                f"pg1-host-ca-file={tls}/ca.crt",
                f"pg1-host-cert-file={tls}/tls.crt",
                f"pg1-host-key-file={tls}/tls.key",
            ]
        ),
        "pg1-host=",
        host,
        "\n",
        _lines(
            [
                # Where the server's own configuration is, which it is asked to read.
                f"pg1-host-config-include-path={SECRETS_FOLDER}",
                "",
                "[global:backup]",
                # A checkpoint at once, or the backup would wait up to a quarter of an hour for one.
                "start-fast=y",
                # By contents, not by times and sizes: a restore or a promotion has changed those.
                "delta=y",
                # What a killed one has left is ended, and its files are used again.
                "stop-auto=y",
                "resume=y",
                f"archive-timeout={archive_seconds}",
                f"process-max={processes}",
                # Every page's checksum, also of what has not changed since.
                "checksum-page=y",
                "",
                "[global:verify]",
                f"process-max={processes}",
                "",
                # Not of `expire` alone: a backup ends with what it knows itself.
                "[global]",
                # A full backup goes when another one is that old, and with it the WAL before that one.
                "repo1-retention-full-type=time",
                f"repo1-retention-full={retention_days}",
                f"repo1-retention-history={retention_days}",
            ]
        ),
    )


def remote(
    name: str,
    *,
    region: pulumi.Input[str],
    endpoint: pulumi.Input[str],
    path_style: bool,
    web_identity: bool,
) -> pulumi.Output[str]:
    """One place as rclone knows it: a section of rclone.conf.

    Args:
        name: what commands call it.
        region: its region.
        endpoint: `host` or `host:port`. With a web identity it is AWS's own, which goes by the region.
        path_style: whether the bucket is named in the path.
        web_identity: whether the pod's own token is shown, and not an access key.
    """
    fixed = _lines(
        [
            f"[{name}]",
            "type = s3",
            # Also with AWS: any other word overrules the style.
            "provider = Other",
            "env_auth = true",
            f"force_path_style = {'true' if path_style else 'false'}",
            # The bucket is there, and the jobs may not make or look for one.
            "no_check_bucket = true",
            "no_head = true",
        ]
    )
    # Told where the storage is, rclone 1.60 shows the token there too, and not to the token service.
    where: tuple[pulumi.Input[str], ...] = () if web_identity else ("endpoint = https://", endpoint, "\n")
    return pulumi.Output.concat(fixed, *("region = ", region, "\n"), *where, "\n")


def one_line(value: str) -> str:
    """Give back a key or passphrase as it is.

    Raises:
        ValueError: a configuration file would change it.
    """
    if not value or not value.isascii() or not value.isprintable() or value != value.strip():
        raise ValueError(
            "a key or passphrase of the repository must be one line of ASCII, with no blank at its ends"
        )
    return value


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
