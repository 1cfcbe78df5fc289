# From what the repository has to how a wanted moment is reached, or to why it can't be. Pure: reach.sh asks the
# repository.
#
# Input: {info: what `pgbackrest info` says of one stanza, files: what `pgbackrest repo-ls` says of its WAL archive,
# histories: {timeline: text of its history file}, mode: "latest", "backup" or "time", to: seconds since 1970 for
# "time", set: a backup's label or null, now: seconds since 1970}.
# Output: {set, timeline, mode, earliest, newest, look: [{name, path}], rest: [...]}, or {error}.
#
# A timeline is one life of the database: each restore begins a new one. Which of them a moment belongs to is told
# by when each began: the moment is taken from the one that clients were writing to then.

def hex: ascii_downcase | explode | reduce .[] as $c (0; . * 16 + (if $c >= 97 then $c - 87 else $c - 48 end));
def pad($n): tostring | ("0" * ([$n - length, 0] | max)) as $zeros | (if $n > length then $zeros else "" end) + .;
def tohex: def digits: if . < 16 then [.] else ((. / 16 | floor | digits) + [. % 16]) end;
    [digits[] | "0123456789ABCDEF"[. : . + 1]] | add;
def stamp: floor | strftime("%Y-%m-%d %H:%M:%S+00");
def segment: 16777216;
def lsn: split("/") | (.[0] | hex) * 4294967296 + (.[1] | hex);
# 24 digits: timeline, and the segment's place in the log.
def place: (.[8:16] | hex) * 256 + (.[16:24] | hex);
def named($timeline): "\($timeline | tohex | pad(8))\(. / 256 | floor | tohex | pad(8))\(. % 256 | tohex | pad(8))";

. as $in
| ($in.info.backup // []) as $all
| (if $in.set then [$all[] | select(.label == $in.set)] else $all end) as $asked
| if ($all | length) == 0 then {error: "the repository has no backup yet"}
  elif ($asked | length) == 0 then {error: "the repository has no backup \($in.set); it has: \([$all[].label] | join(", "))"}
  else
    [$in.files | to_entries[]
        | select(.key | test("^[0-9A-F]{16}/[0-9A-F]{24}-[0-9a-f]{40}([.][a-z0-9]+)?$"))
        | {path: .key, name: .key[17:41], time: .value.time}
        | . + {timeline: (.name[0:8] | hex), place: (.name | place)}] as $segments
    | ($segments | INDEX(.name)) as $by_name
    | [$in.files | to_entries[] | select(.key | test("^[0-9A-F]{8}[.]history$"))
        | {timeline: (.key[0:8] | hex), time: .value.time}] as $begun
    | ([$segments[].timeline, $begun[].timeline] | max // 1) as $last
    | ([$segments[].timeline, ($all[].archive.start // empty | .[0:8] | hex)] | min // 1) as $first
    | (if $in.mode == "time" then [$begun[] | select(.time <= $in.to) | .timeline] | max // $first
       elif $in.mode == "backup" then $asked[-1].archive.start[0:8] | hex
       else $last end) as $timeline
    # Its ancestors, each with where it was left.
    | [($in.histories[$timeline | tohex | pad(8)] // "") | split("\n")[] | select(test("^[0-9]+\t"))
        | split("\t") | {timeline: (.[0] | tonumber), until: (.[1] | lsn), text: .[1]}] as $ancestors
    | [$all[] | select((.error | not) or $in.set == .label)] as $whole
    | [$whole[]
        | . + {timeline: (.archive.start[0:8] | hex)}
        | . as $backup
        | select(.timeline == $timeline
            or any($ancestors[]; .timeline == $backup.timeline and .until >= ($backup.lsn.stop | lsn)))] as $kin
    # To the second: it stopped within the one that is told.
    | ([$kin[].timestamp.stop + 1] | min) as $earliest
    | [$kin[] | select($in.set == null or .label == $in.set)
        | select($in.mode != "time" or .timestamp.stop + 1 <= $in.to)] as $usable
    | ($usable | max_by(.timestamp.stop)) as $backup
    | (($ancestors | map(select(.timeline >= ($backup.timeline // 0)))) + [{timeline: $timeline, until: null}]) as $path
    # What is needed, in order, from the backup's first segment to the newest of the timeline.
    | ([$segments[] | select(.timeline == $timeline).place] | max
        // (if ($ancestors | length) > 0 then ($ancestors[-1].until / segment | floor) else 0 end)) as $end
    | (if $backup == null then [] else
        [range($backup.archive.start | place; $end + 1)
            | . as $place
            | [$path[] | select(.until == null or ($place <= (.until / segment | floor)))] as $lives
            # At a parting of the ways both have the segment; the younger one's is whole.
            | ([$lives[] | select(.until != null and (.until / segment | floor) == $place)] | length) as $parting
            | ([$lives[0 : $parting + 1] | reverse[] | .timeline as $t | $by_name[$place | named($t)] | select(.)][0])
              // {missing: ($place | named($lives[0].timeline))}]
       end) as $chain
    | ([$chain | to_entries[] | select(.value.missing)][0]) as $gap
    | ($chain[0 : ($gap.key // ($chain | length))]) as $unbroken
    | ($unbroken[-1].time // $backup.timestamp.stop) as $newest
    | ($unbroken[-2].time // $newest) as $safe
    | (if $earliest == null or $newest == null then "" else
        "; it can be from \($earliest | stamp) to \($newest | stamp)" end) as $range
    | if $in.mode == "time" and $in.to > $in.now then {error: "\($in.to | stamp) is in the future\($range)"}
      elif $backup == null and $in.mode == "time" and ($kin | length) > 0 and ($in.set | not) then
        {error: "\($in.to | stamp) is before the end of the first backup that is kept; it can be from \($earliest | stamp)"}
      elif $backup == null and $in.mode == "time" and $in.set then
        {error: "\($in.to | stamp) can't be reached from backup \($in.set), which ended at \($asked[-1].timestamp.stop | stamp)"}
      elif $backup == null then {error: "no backup leads there: the newest data begin after the last of them"}
      elif $in.mode == "backup" then
        {mode: "backup", set: $backup.label, timeline: $timeline, earliest: $earliest, newest: $newest, look: [], rest: []}
      elif $gap and ($in.mode == "latest" or $newest < $in.to) then
        {error: "WAL segment \($gap.value.missing) is missing in the repository; the newest that can be reached is \($safe | stamp)"}
      elif $in.mode == "time" and $in.to > $newest + 1 then
        {error: "\($in.to | stamp) is not in the repository yet\($range)"}
      else
        # Where a commit after the moment may be first. One before it, for clocks that differ.
        ([$unbroken | to_entries[] | select(.value.time + 1 >= ($in.to // 0)) | .key][0] // 0) as $from
        | {
            mode: $in.mode, set: $backup.label, timeline: $timeline, earliest: $earliest, newest: $newest,
            broken: ($gap.value.missing // null),
            parting: (if any($segments[]; .timeline == $timeline) or ($ancestors | length) == 0 then null
                else $ancestors[-1].text end),
            look: [$unbroken[([$from - 1, 0] | max) :][] | {name, path}],
            rest: [$unbroken[-3:][] | {name, path}],
            bytes: $backup.info.size, segments: ($unbroken | length)
          }
      end
  end
