# Prometheus' text of what monitor.sh has found. In: nothing; $info, $results, $replica and $size are files' contents in a
# list each, $rpo and $rto the promises in seconds.

def metric($name; $help; $samples):
    if ($samples | length) == 0 then empty
    else "# HELP \($name) \($help)", "# TYPE \($name) gauge",
        ($samples[] | "\($name)\(if .labels == "" then "" else "{\(.labels)}" end) \(.value)")
    end;
def named($name; $value): "\($name)=\($value | tojson)";
def of_jobs($jobs; $field):
    [$jobs[] | select(.[$field] | type == "number") | {labels: named("job"; .job), value: .[$field]}];

([$info[0][]?.backup[]?]) as $backups
| ([$backups[] | select(.error != true)]) as $good
| ($results[0] // []) as $jobs
| ($replica[0]) as $copied
| ($backups | group_by(.type)) as $kinds
| metric("backup_last_success_timestamp_seconds"; "When the newest backup of a type was complete.";
    [$good | group_by(.type)[] | max_by(.timestamp.stop) | {labels: named("type"; .type), value: .timestamp.stop}]),
  metric("backup_last_error"; "Whether the newest backup of a type has pages with wrong checksums.";
    [$kinds[] | max_by(.timestamp.stop)
        | {labels: named("type"; .type), value: (if .error == true then 1 else 0 end)}]),
  metric("backup_size_bytes"; "What the newest backup of a type takes in the repository.";
    [$kinds[] | max_by(.timestamp.stop) | {labels: named("type"; .type), value: (.info.repository.delta // 0)}]),
  metric("backup_duration_seconds"; "How long the newest backup of a type took.";
    [$kinds[] | max_by(.timestamp.stop)
        | {labels: named("type"; .type), value: (.timestamp.stop - .timestamp.start)}]),
  metric("backup_database_size_bytes"; "The size of the database in the newest backup.";
    [$backups | select(length > 0) | max_by(.timestamp.stop) | {labels: "", value: .info.size}]),
  metric("backup_backups"; "How many backups the repository has.";
    [{labels: "", value: ($good | length)}]),
  metric("backup_oldest_timestamp_seconds"; "The earliest moment that one can go back to.";
    [$good | select(length > 0) | min_by(.timestamp.stop) | {labels: "", value: .timestamp.stop}]),
  metric("backup_repository_size_bytes"; "The size of the repository, backups and archive.";
    [$size[0] | select(. != null) | {labels: "", value: .bytes}]),
  metric("backup_job_success"; "Whether the last run of a job succeeded."; of_jobs($jobs; "success")),
  metric("backup_job_last_run_timestamp_seconds"; "When the last run of a job ended."; of_jobs($jobs; "finished")),
  metric("backup_job_last_success_timestamp_seconds"; "When the last run of a job that succeeded ended.";
    of_jobs($jobs; "last_success")),
  metric("backup_job_duration_seconds"; "How long the last run of a job took."; of_jobs($jobs; "duration_seconds")),
  metric("backup_verified"; "Whether all that the last backup is made of was read and found whole.";
    of_jobs($jobs; "verified") | map(.labels = "")),
  metric("backup_archive_gaps"; "How many segments of WAL were missing between others when a job looked last.";
    of_jobs($jobs; "archive_gaps")),
  metric("backup_measured_rpo_seconds"; "How much a restore would have lost, as a job has measured it.";
    of_jobs($jobs; "rpo_seconds")),
  metric("backup_measured_rto_seconds"; "How long a restore took, as a job has measured it.";
    of_jobs($jobs; "rto_seconds")),
  metric("backup_promised_rpo_seconds"; "How much may be lost at most."; [{labels: "", value: $rpo}]),
  metric("backup_promised_rto_seconds"; "How long a restore may take."; [{labels: "", value: $rto}]),
  # The oldest result that has not reached the copy; what both have is not behind.
  metric("backup_replica_lag_seconds"; "How far the replica is behind: the age of the newest result that it lacks.";
    [select($copied != null and ($jobs | length) > 0)
        | ($copied | map({(.job): .finished}) | add // {}) as $there
        | {labels: "", value: ([$jobs[] | select(.finished > ($there[.job] // 0)) | now - .finished | floor] | max // 0)}])
