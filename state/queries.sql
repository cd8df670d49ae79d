-- Questions to the record, for people. Each stands alone and only reads:
--
--     sqlite3 -readonly -header -column state/hactl.db < state/queries.sql
--
-- The tables are in schema.sql. All times are UTC. `hactl history` and `hactl status` answer most of this without SQL.

-- Which clusters are there, which generation is in force, who brought it and when?
SELECT c.name AS cluster,
       CASE c.managed WHEN 1 THEN 'managed' ELSE 'unmanaged: ' || c.why END AS managed,
       d.generation, CASE d.origin WHEN '' THEN 'api' ELSE d.origin END AS origin, d.source, d.actor, d.at
  FROM clusters AS c
  JOIN documents AS d ON d.cluster = c.name
 WHERE d.generation = (SELECT max(generation) FROM documents WHERE cluster = c.name)
 ORDER BY c.name;

-- What do the clusters say of themselves? (age: since the status last changed)
SELECT s.cluster,
       json_extract(condition.value, '$.type') AS condition,
       json_extract(condition.value, '$.status') AS status,
       json_extract(condition.value, '$.reason') AS reason,
       json_extract(condition.value, '$.message') AS message,
       s.changed_at
  FROM statuses AS s, json_each(s.status, '$.conditions') AS condition
 ORDER BY s.cluster, condition.key;

-- What ran in the last day, and how did it end?
SELECT at, cluster, node, verb, target, coalesce(outcome, 'running') AS outcome, round(seconds, 1) AS seconds, actor
  FROM steps
 WHERE at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')
 ORDER BY id;

-- What went wrong, with the command and what it printed?
SELECT at, cluster, node, outcome, exit_status, command, output
  FROM steps
 WHERE outcome IN ('Failed', 'Indeterminate')
 ORDER BY id DESC
 LIMIT 20;

-- Which steps run now, and in which process? (a process without end that does not run any more has died:
-- the next hactl that starts says so in the steps it left)
SELECT s.at, s.cluster, s.node, s.verb, s.target, c.pid, c.host, c.command, c.started_at
  FROM steps AS s
  JOIN controllers AS c ON c.id = s.controller
 WHERE s.outcome IS NULL
 ORDER BY s.id;

-- What happened to whom, steps and events together, in the order it was written?
SELECT * FROM (
    SELECT id, at, cluster, node, kind, summary FROM events
    UNION ALL
    SELECT id, at, cluster, node, 'Step', verb || ' ' || target || ': ' || coalesce(outcome, 'running') FROM steps
    ORDER BY id DESC
    LIMIT 100
) ORDER BY id;

-- What did it look like on a given night? (put your own times here)
SELECT at, cluster, node, kind, summary, detail
  FROM events
 WHERE at BETWEEN '2026-11-24T03:00:00.000Z' AND '2026-11-24T03:30:00.000Z'
 ORDER BY id;

-- How often does each kind of step fail, and how long does it take?
SELECT verb, count(*) AS runs,
       sum(outcome = 'Done') AS done, sum(outcome = 'Failed') AS failed, sum(outcome = 'Indeterminate') AS indeterminate,
       round(avg(seconds), 2) AS mean_seconds, round(max(seconds), 2) AS worst_seconds
  FROM steps
 GROUP BY verb
 ORDER BY failed + indeterminate DESC, runs DESC;

-- Which nodes come and go?
SELECT cluster, node, sum(kind = 'NodeLost') AS lost, sum(kind = 'NodeRebooted') AS rebooted, max(at) AS last
  FROM events
 WHERE kind IN ('NodeLost', 'NodeBack', 'NodeRebooted')
 GROUP BY cluster, node
 ORDER BY lost DESC;

-- How did the documents change?
SELECT cluster, generation, at, actor, source, revision, author, substr(digest, 1, 12) AS digest,
       length(text) AS characters
  FROM documents
 ORDER BY cluster, generation;

-- Who acted: every hactl that recorded something?
SELECT c.id, c.command, c.actor, c.pid, c.host, c.started_at, coalesce(c.ended_at, 'running or died') AS ended_at,
       (SELECT count(*) FROM steps WHERE controller = c.id) AS steps
  FROM controllers AS c
 ORDER BY c.id DESC
 LIMIT 50;

-- How large is each part?
SELECT 'documents' AS part, count(*) AS number, coalesce(sum(length(text)), 0) AS characters FROM documents
UNION ALL SELECT 'steps', count(*), coalesce(sum(length(output) + length(command)), 0) FROM steps
UNION ALL SELECT 'events', count(*), coalesce(sum(length(summary) + coalesce(length(detail), 0)), 0) FROM events
UNION ALL SELECT 'objects', count(*), coalesce(sum(length(body)), 0) FROM objects
UNION ALL SELECT 'changes', count(*), coalesce(sum(length(body)), 0) FROM changes;

-- What did people ask for, newest first, and how did it end?
SELECT id, cluster, kind, trim(group_name || ' ' || resource || ' ' || node) AS what, actor, reason, opened_at,
       state, message, round(seconds, 1) AS seconds
  FROM operations
 ORDER BY id DESC
 LIMIT 50;

-- Which process acts on each cluster, and under which lease (the number on the nodes in /var/db/hactl/lease)?
SELECT l.cluster, l.generation, l.at, c.command, c.host, c.pid
  FROM leases AS l
  LEFT JOIN controllers AS c ON c.token = l.holder
 ORDER BY l.cluster;

-- What does the API have, and in which revision (resourceVersion) was each object written?
SELECT resource, name, revision,
       json_extract(body, '$.metadata.generation') AS generation,
       json_extract(body, '$.metadata.labels') AS labels,
       length(body) AS characters
  FROM objects
 ORDER BY resource, name;

-- What changed last, as a watch tells it, and how far back can a watch begin?
SELECT c.revision, c.type, c.resource, c.name, r.forgotten AS watches_begin_at
  FROM changes AS c, revision AS r
 ORDER BY c.revision DESC
 LIMIT 50;

-- Who asked the API for what, and what was refused?
SELECT at, kind, cluster,
       json_extract(detail, '$.actor') AS actor, json_extract(detail, '$.origin') AS origin,
       json_extract(detail, '$.verb') AS verb, json_extract(detail, '$.resource') AS resource,
       json_extract(detail, '$.name') AS name, json_extract(detail, '$.code') AS code, summary
  FROM events
 WHERE kind IN ('RequestAccepted', 'RequestRefused', 'TokenCreated', 'TokenRevoked')
 ORDER BY id DESC
 LIMIT 100;

-- Who may use the API with a token? (only its sha256 is kept)
SELECT name, role, created_at, created_by, coalesce(expires_at, 'never') AS expires_at
  FROM tokens
 ORDER BY name;
