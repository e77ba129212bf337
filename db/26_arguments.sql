-- Arguments: what every public function accepts, as rows, and the one check that reads them.
--
--   app.v_arguments                                    shape, path, type, required, lowest, highest, pattern, one_of
--   app.faults(shape, items, name) → rows              every fault of every item, set-based
--   app.check_input(shape, input), app.check_items     raise PT400 schema_violation that lists them all
--
-- Null counts as missing. Shapes are closed: a field that is not listed is a fault. lowest and highest bound a number, the length of
-- a text or the number of elements of an array.

create or replace view app.v_arguments as
select shape, path, type, required, lowest, highest, pattern, one_of
from (values
  ('put_setting', 'key', 'string', true, 1, 128, null, null),
  ('put_setting', 'value', 'any', true, null, null, null, null),
  ('setting', 'default_recipe', 'string', false, 1, 128, '\S', null),
  ('setting', 'oc_mode', 'string', false, null, null, null, array['replay', 'record', 'live']),
  ('setting', 'sbx_mode', 'string', false, null, null, null, array['mock', 'live']),
  ('setting', 'app_version', 'string', false, 1, 128, '\S', null),
  ('setting', 'test_database', 'boolean', false, null, null, null, null),
  ('advance', 'by', 'string', true, null, null, null, null),

  ('create_intent', 'goal', 'string', true, 1, 100000, '\S', null),
  ('create_intent', 'inputs', 'object', true, null, null, null, null),
  ('create_intent', 'constraints', 'object', true, null, null, null, null),
  ('create_intent', 'connectors', 'object|array', false, null, null, null, null),

  ('put_recipe', 'name', 'string', true, 1, 128, '^[A-Za-z0-9][A-Za-z0-9._-]*$', null),
  ('put_recipe', 'version', 'integer', false, 1, 1000000, null, null),
  ('put_recipe', 'description', 'string', false, 0, 10000, null, null),
  ('put_recipe', 'queue', 'string', false, 1, 40, null, null),
  ('put_recipe', 'settings', 'object', false, null, null, null, null),
  ('put_recipe', 'steps', 'array', true, 1, 1000, null, null),
  ('step', 'stepId', 'string', true, 1, 128, '^[A-Za-z0-9][A-Za-z0-9._-]*$', null),
  ('step', 'handler', 'string', false, 1, 200, '^\S+$', null),
  ('step', 'sleep', 'object', false, null, null, null, null),
  ('step', 'map', 'object', false, null, null, null, null),
  ('step', 'needs', 'array', false, 0, 1000, null, null),
  ('step', 'when', 'string', false, 1, 10000, '\S', null),
  ('step', 'queue', 'string', false, 1, 40, null, null),
  ('step', 'retry', 'object', false, null, null, null, null),
  ('step', 'timeoutMS', 'integer', false, 1, 2147483647, null, null),
  ('step', 'gate', 'object', false, null, null, null, null),
  ('step', 'gates', 'array', false, 0, 100, null, null),
  ('step', 'fanOut', 'object', false, null, null, null, null),
  ('retry', 'maxAttempts', 'integer', false, 1, 1000, null, null),
  ('retry', 'backoff', 'object', false, null, null, null, null),
  ('retry', 'retryableCodes', 'array', false, 0, 100, null, null),
  ('backoff', 'initialMS', 'integer', false, 0, 86400000, null, null),
  ('backoff', 'factor', 'number', false, 1, 100, null, null),
  ('backoff', 'maxMS', 'integer', false, 0, 604800000, null, null),
  ('backoff', 'jitter', 'number', false, 0, 1, null, null),
  ('sleep', 'ms', 'integer', false, 0, 31536000000, null, null),
  ('sleep', 'input', 'string', false, 1, 128, '\S', null),
  ('gate', 'key', 'string', true, 1, 128, '^[A-Za-z0-9][A-Za-z0-9._-]*$', null),
  ('gate', 'kind', 'string', false, null, null, null, array['approval', 'input']),
  ('gate', 'title', 'string', false, 1, 1000, null, null),
  ('gate', 'ttlMS', 'integer', false, 1, 31536000000, null, null),
  ('gate', 'onExpiry', 'string', false, null, null, null, array['fail', 'cancel', 'answer']),
  ('gate', 'answer', 'object', false, null, null, null, null),
  ('gate', 'shows', 'array', false, 0, 100, null, null),
  ('gate', 'quorum', 'integer', false, 1, 100, null, null),
  ('gate', 'selfApproval', 'boolean', false, null, null, null, null),
  ('fanOut', 'queue', 'string', true, 1, 40, null, null),
  ('fanOut', 'handler', 'string', true, 1, 200, '^\S+$', null),
  ('fanOut', 'maxTasks', 'integer', false, 1, 100000, null, null),
  ('fanOut', 'retry', 'object', false, null, null, null, null),
  ('fanOut', 'timeoutMS', 'integer', false, 1, 2147483647, null, null),
  ('fanOut', 'join', 'string', false, null, null, null, array['all', 'firstFailure']),
  ('map', 'over', 'string', true, 1, 10000, '\S', null),
  ('map', 'queue', 'string', true, 1, 40, null, null),
  ('map', 'handler', 'string', true, 1, 200, '^\S+$', null),
  ('map', 'maxTasks', 'integer', false, 1, 100000, null, null),
  ('map', 'retry', 'object', false, null, null, null, null),
  ('map', 'timeoutMS', 'integer', false, 1, 2147483647, null, null),
  ('map', 'join', 'string', false, null, null, null, array['all', 'firstFailure']),
  ('activate_recipe', 'name', 'string', true, 1, 128, null, null),
  ('activate_recipe', 'version', 'integer', false, 1, 1000000, null, null),

  ('start_run', 'intentId', 'string', false, null, null, '^ih_[0-9a-f]{64}$', null),
  ('start_run', 'intent', 'object', false, null, null, null, null),
  ('start_run', 'recipeName', 'string', false, 1, 128, '\S', null),
  ('start_run', 'recipeVersion', 'integer', false, 1, 1000000, null, null),
  ('start_run', 'queuePartitionKey', 'string', false, 0, 256, null, null),
  ('start_run', 'lane', 'string', false, null, null, null, array['interactive', 'batch']),
  ('start_run', 'priority', 'integer', false, 0, 1000000, null, null),
  ('start_run', 'workload', 'object', false, null, null, null, null),
  ('start_run', 'budget', 'object', false, null, null, null, null),
  ('start_run', 'timeoutMS', 'integer', false, 1, 31536000000, null, null),
  ('start_run', 'traceId', 'string', false, null, null, '^(?!0{32})[0-9a-f]{32}$', null),
  ('start_run', 'tenantId', 'string', false, 1, 256, '\S', null),
  ('start_run', 'startedBy', 'string', false, 1, 256, '\S', null),
  ('start_run', 'appVersion', 'string', false, 1, 128, '\S', null),
  ('start_run', 'ocMode', 'string', false, null, null, null, array['replay', 'record', 'live']),
  ('start_run', 'sbxMode', 'string', false, null, null, null, array['mock', 'live']),
  ('workload', 'steps', 'integer', false, 0, 1000000, null, null),
  ('workload', 'tasks', 'integer', false, 0, 1000000, null, null),
  ('workload', 'attempts', 'integer', false, 0, 1000000, null, null),
  ('list_runs', 'status', 'string', false, null, null, null, array['ENQUEUED', 'PENDING', 'WAITING_INPUT', 'SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED']),
  ('list_runs', 'name', 'string', false, 1, 128, null, null),
  ('list_runs', 'limit', 'integer', false, 1, 1000, null, null),
  ('list_runs', 'cursor', 'string', false, 1, 500, '^[0-9]{1,18}\..+$', null),
  ('run', 'run_id', 'string', true, 1, 200, null, null),
  ('get_artifact', 'artifact_id', 'integer', true, 1, 9223372036854775807, null, null),

  ('approve_plan', 'run_id', 'string', true, 1, 200, null, null),
  ('approve_plan', 'approved_by', 'string', true, 1, 256, '\S', null),
  ('approve_plan', 'notes', 'string', false, 0, 10000, null, null),
  ('approve_plan', 'decision', 'string', true, null, null, null, array['yes', 'no']),
  ('approve_plan', 'dedupe_key', 'string', false, 1, 256, '\S', null),
  ('approve_plan', 'shown_sha256', 'string', false, null, null, '^[0-9a-f]{64}$', null),
  ('reply_gate', 'run_id', 'string', true, 1, 200, null, null),
  ('reply_gate', 'gate_key', 'string', true, 1, 128, null, null),
  ('reply_gate', 'payload', 'object', true, null, null, null, null),
  ('reply_gate', 'dedupe_key', 'string', true, 1, 256, '\S', null),
  ('reply_gate', 'origin', 'string', true, 1, 256, '\S', null),
  ('reply_gate', 'shown_sha256', 'string', false, null, null, '^[0-9a-f]{64}$', null),

  ('control', 'run_id', 'string', true, 1, 200, null, null),
  ('control', 'actor', 'string', true, 1, 256, '\S', null),
  ('control', 'reason', 'string', true, 1, 10000, '\S', null),
  ('fork_run', 'run_id', 'string', true, 1, 200, null, null),
  ('fork_run', 'step_n', 'integer', true, 0, 1000000, null, null),
  ('fork_run', 'actor', 'string', true, 1, 256, '\S', null),
  ('fork_run', 'reason', 'string', true, 1, 10000, '\S', null),
  ('fork_run', 'app_version', 'string', false, 1, 128, '\S', null),
  ('fork_run', 'inputs', 'object', false, null, null, null, null),
  ('pause_queue', 'queue_name', 'string', true, 1, 40, null, null),
  ('pause_queue', 'actor', 'string', true, 1, 256, '\S', null),
  ('pause_queue', 'reason', 'string', true, 1, 10000, '\S', null),
  ('pause_partition', 'queue_name', 'string', true, 1, 40, null, null), ('pause_partition', 'partition_key', 'string', true, 0, 256, null, null),
  ('pause_partition', 'actor', 'string', true, 1, 256, '\S', null), ('pause_partition', 'reason', 'string', true, 1, 10000, '\S', null),
  ('set_limits', 'queue_name', 'string', true, 1, 40, null, null), ('set_limits', 'limits', 'object', true, null, null, null, null),
  ('set_limits', 'actor', 'string', true, 1, 256, '\S', null), ('set_limits', 'reason', 'string', true, 1, 10000, '\S', null),
  ('limits', 'maxRunning', 'integer', false, 1, 1000000, null, null), ('limits', 'maxRunningPerPartition', 'integer', false, 1, 1000000, null, null),
  ('limits', 'maxRunningPerWorker', 'integer', false, 1, 1000000, null, null), ('limits', 'rate', 'object', false, null, null, null, null),
  ('limits', 'ratePerPartition', 'object', false, null, null, null, null), ('limits', 'ageingSeconds', 'integer', false, 1, 31536000, null, null),
  ('rate', 'limit', 'integer', true, 1, 10000, null, null), ('rate', 'seconds', 'integer', true, 1, 86400, null, null),
  ('set_partition', 'queue_name', 'string', true, 1, 40, null, null), ('set_partition', 'partition_key', 'string', true, 0, 256, null, null),
  ('set_partition', 'options', 'object', true, null, null, null, null), ('set_partition', 'actor', 'string', true, 1, 256, '\S', null),
  ('set_partition', 'reason', 'string', true, 1, 10000, '\S', null),
  ('partition_options', 'weight', 'integer', false, 1, 100, null, null), ('partition_options', 'maxRunning', 'integer', false, 1, 1000000, null, null),
  ('batch', 'selection', 'object', true, null, null, null, null),
  ('batch', 'actor', 'string', true, 1, 256, '\S', null),
  ('batch', 'reason', 'string', true, 1, 10000, '\S', null),
  ('fork_batch', 'selection', 'object', true, null, null, null, null),
  ('fork_batch', 'step_n', 'integer', true, 0, 1000000, null, null),
  ('fork_batch', 'actor', 'string', true, 1, 256, '\S', null),
  ('fork_batch', 'reason', 'string', true, 1, 10000, '\S', null),
  ('fork_batch', 'app_version', 'string', false, 1, 128, '\S', null),
  ('fork_batch', 'inputs', 'object', false, null, null, null, null),
  ('selection', 'runIds', 'array', false, 1, 1000, null, null),
  ('selection', 'filter', 'object', false, null, null, null, null),
  ('selection_filter', 'status', 'string', false, null, null, null, array['ENQUEUED', 'PENDING', 'WAITING_INPUT', 'SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED']),
  ('selection_filter', 'name', 'string', false, 1, 128, null, null),
  ('selection_filter', 'queue', 'string', false, 1, 40, null, null),
  ('selection_filter', 'partition', 'string', false, 0, 256, null, null),
  ('selection_filter', 'errorCode', 'string', false, 1, 128, null, null),
  ('selection_filter', 'olderThanMS', 'integer', false, 0, 31536000000, null, null),
  ('selection_filter', 'newerThanMS', 'integer', false, 0, 31536000000, null, null),
  ('selection_filter', 'limit', 'integer', false, 1, 1000, null, null),
  ('redrive', 'queue_name', 'string', true, 1, 40, null, null),
  ('redrive', 'actor', 'string', true, 1, 256, '\S', null),
  ('redrive', 'reason', 'string', true, 1, 10000, '\S', null),
  ('redrive', 'max_runs', 'integer', true, 1, 1000, null, null),
  ('page_tasks', 'run_id', 'string', true, 1, 200, null, null),
  ('page_tasks', 'idx', 'integer', true, 0, 1000000, null, null),
  ('page_tasks', 'after_task', 'integer', false, -1, 1000000, null, null),
  ('page_step', 'run_id', 'string', true, 1, 200, null, null),
  ('page_step', 'idx', 'integer', true, 0, 1000000, null, null),
  ('page_step', 'task_key', 'string', false, 0, 64, null, null),
  ('search_runs', 'status', 'string', false, null, null, null, array['ENQUEUED', 'PENDING', 'WAITING_INPUT', 'SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED']),
  ('search_runs', 'name', 'string', false, 1, 128, null, null),
  ('search_runs', 'partition', 'string', false, 0, 256, null, null),
  ('search_runs', 'text', 'string', false, 1, 200, null, null),
  ('search_runs', 'olderThanMS', 'integer', false, 0, 31536000000, null, null),
  ('search_runs', 'newerThanMS', 'integer', false, 0, 31536000000, null, null),
  ('search_runs', 'limit', 'integer', false, 1, 1000, null, null),
  ('search_runs', 'cursor', 'string', false, 1, 500, null, null),
  ('page_recipe', 'name', 'string', true, 1, 128, null, null),
  ('page_recipe', 'version', 'integer', false, 1, 1000000, null, null),
  ('fork_diff', 'a', 'string', true, 1, 200, null, null),
  ('fork_diff', 'b', 'string', true, 1, 200, null, null),

  ('sleep_run', 'run_id', 'string', true, 1, 128, '^(?!ih_)(?!.*-f[0-9]+$)[A-Za-z0-9][A-Za-z0-9._:-]*$', null),
  ('sleep_run', 'ms', 'integer', true, 0, 31536000000, null, null),
  ('cron', 'expression', 'string', true, 1, 1000, '\S', null),
  ('cron', 'timezone', 'string', true, 1, 100, '\S', null),
  ('cron_ticks', 'n', 'integer', true, 1, 1000, null, null),
  ('put_schedule', 'name', 'string', true, 1, 128, '^[A-Za-z0-9][A-Za-z0-9._-]*$', null),
  ('put_schedule', 'cron', 'string', true, 1, 1000, '\S', null),
  ('put_schedule', 'timezone', 'string', false, 1, 100, '\S', null),
  ('put_schedule', 'intent', 'object', true, null, null, null, null),
  ('put_schedule', 'options', 'object', false, null, null, null, null),
  ('put_schedule', 'catchUp', 'string', false, null, null, null, array['skip', 'one', 'all']),
  ('put_schedule', 'catchUpCap', 'integer', false, 1, 1000, null, null),
  ('put_schedule', 'graceSeconds', 'integer', false, 0, 86400, null, null),
  ('schedule', 'name', 'string', true, 1, 128, '\S', null),
  ('schedule', 'actor', 'string', true, 1, 256, '\S', null),
  ('schedule', 'reason', 'string', true, 1, 10000, '\S', null),

  ('set_queue_partitioning', 'partitioned', 'boolean', true, null, null, null, null),
  ('worker', 'worker', 'string', true, 1, 200, '\S', null),
  ('register_worker', 'appVersion', 'string', true, 1, 128, '\S', null),
  ('register_worker', 'queues', 'array', true, 1, 100, null, null),
  ('register_worker', 'concurrency', 'integer', true, 1, 100000, null, null),
  ('register_worker', 'host', 'string', false, 0, 256, null, null),
  ('register_worker', 'pid', 'integer', false, 0, 2147483647, null, null),
  ('register_worker', 'keepLeases', 'boolean', false, null, null, null, null),
  ('want', 'queues', 'object', false, null, null, null, null),
  ('want', 'appVersion', 'string', false, 1, 128, '\S', null),
  ('want', 'recover', 'boolean', false, null, null, null, null),
  ('want', 'drain', 'boolean', false, null, null, null, null),
  ('result', 'runId', 'string', true, 1, 200, null, null),
  ('result', 'idx', 'integer', true, 0, 1000000, null, null),
  ('result', 'taskKey', 'string', true, 0, 64, null, null),
  ('result', 'attempt', 'integer', true, 1, 1000000, null, null),
  ('result', 'queue', 'string', true, 1, 40, null, null),
  ('result', 'msgId', 'integer', true, 1, 9223372036854775807, null, null),
  ('result', 'readCt', 'integer', true, 0, 2147483647, null, null),
  ('result', 'status', 'string', true, null, null, null, array['SUCCESS', 'ERROR', 'WAITING']),
  ('result', 'output', 'any', false, null, null, null, null),
  ('result', 'artifacts', 'array', false, 0, 900, null, null),
  ('result', 'tasks', 'array', false, null, null, null, null),
  ('result', 'receipt', 'boolean', false, null, null, null, null),
  ('result', 'wait', 'object', false, null, null, null, null),
  ('result', 'error', 'object', false, null, null, null, null),
  ('result', 'traceId', 'string', false, null, null, null, null),
  ('result', 'spanId', 'string', false, null, null, '^[0-9a-f]{16}$', null),
  ('take_ends', 'n', 'integer', true, 1, 1000, null, null),
  ('forget_ends', 'end_ids', 'array', true, 0, 1000, null, null),
  ('wait', 'seq', 'integer', true, 0, 1000000, null, null),
  ('wait', 'kind', 'string', true, null, null, null, array['sleep', 'gate']),
  ('wait', 'name', 'string', true, 1, 128, '\S', null),
  ('wait', 'ms', 'integer', false, 0, 31536000000, null, null),
  ('wait', 'gate', 'object', false, null, null, null, null),
  ('checkpoint', 'seq', 'integer', true, 0, 1000000, null, null),
  ('checkpoint', 'kind', 'string', true, null, null, null, array['step', 'emit']),
  ('checkpoint', 'name', 'string', true, 1, 128, '\S', null),
  ('checkpoint', 'value', 'any', false, null, null, null, null),
  ('checkpoint', 'artifact', 'object', false, null, null, null, null),
  ('error', 'code', 'string', true, 1, 128, '\S', null),
  ('error', 'message', 'string', true, 0, 100000, null, null),
  ('error', 'retryable', 'boolean', false, null, null, null, null),
  ('error', 'details', 'any', false, null, null, null, null),
  ('artifact', 'kind', 'string', true, 1, 128, '^(?!none$)[a-z][a-z0-9_]*$', null),
  ('artifact', 'name', 'string', true, 1, 1000, '\S', null),
  ('artifact', 'mediaType', 'string', false, 1, 200, '^\S+/\S.*$', null),
  ('artifact', 'inline', 'any', false, null, null, null, null),
  ('artifact', 'body', 'string', false, null, null, '^([A-Za-z0-9+/]{4}\s*)*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\s*$', null),
  ('lease', 'queue', 'string', true, 1, 40, null, null),
  ('lease', 'msgId', 'integer', true, 1, 9223372036854775807, null, null),
  ('lease', 'readCt', 'integer', true, 0, 2147483647, null, null),
  ('lease', 'runId', 'string', true, 1, 200, null, null),
  ('lease', 'idx', 'integer', true, 0, 1000000, null, null),
  ('lease', 'taskKey', 'string', true, 0, 64, null, null)
) as a (shape, path, type, required, lowest, highest, pattern, one_of);
comment on view app.v_arguments is 'Every field of every shape that a public function accepts: the reference and the check read the same rows.';

create or replace function app.fault(value jsonb, type text, required boolean, lowest numeric, highest numeric, pattern text, one_of text[])
returns text
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
declare
  kind text := jsonb_typeof(value);
  size numeric;
begin
  if value is null or kind = 'null' then
    return case when required then 'is required' end;
  elsif type = 'any' then
    return null;
  elsif type = 'integer' then
    if kind <> 'number' or value::text ~ '[.e]' then
      return 'must be an integer';
    end if;
  elsif kind <> all (string_to_array(type, '|')) then
    return 'must be ' || replace(replace('a ' || replace(type, '|', ' or a '), 'a o', 'an o'), 'a a', 'an a');
  end if;
  if one_of is not null and (value #>> '{}') <> all (one_of) then
    return format('must be one of %s', array_to_string(one_of, ', '));
  end if;
  if lowest is not null or highest is not null then
    size := case kind when 'number' then (value #>> '{}')::numeric when 'array' then jsonb_array_length(value) else length(value #>> '{}') end;
    if size < lowest or size > highest then
      return case kind
        when 'number' then format('must be between %s and %s', lowest, highest)
        when 'array' then format('must have between %s and %s elements', lowest, highest)
        else format('must have between %s and %s characters', lowest, highest) end;
    end if;
  end if;
  if pattern is not null and (value #>> '{}') !~ pattern then
    return case when pattern = '\S' then 'must not be blank' else format('must match %s', pattern) end;
  end if;
  return null;
end
$$;
comment on function app.fault(jsonb, text, boolean, numeric, numeric, text, text[]) is 'What is wrong with one value, or null.';

create or replace function app.item_path(name text, ordinality bigint)
returns text
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select case when name like '%[]' then format('%s[%s].', left(name, -2), ordinality - 1) else '' end;
$$;
comment on function app.item_path(text, bigint) is 'How the paths of an item begin: runs[0]. for an element of runs[], nothing for a single argument.';

create or replace function app.faults(shape text, items jsonb, name text)
returns table (path text, message text)
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  with item as (
    select i.value, app.item_path(name, i.ordinality) as at
    from jsonb_array_elements(items) with ordinality as i
  ), argument as (
    select * from app.v_arguments as a where a.shape = faults.shape
  )
  select coalesce(nullif(rtrim(item.at, '.'), ''), name), 'must be an object' from item where jsonb_typeof(item.value) <> 'object'
  union all
  select item.at || k.key, 'is unknown'
  from item cross join lateral jsonb_object_keys(case jsonb_typeof(item.value) when 'object' then item.value else '{}' end) as k (key)
  where not exists (select from argument as a where a.path = k.key)
  union all
  select item.at || a.path, f.message
  from item cross join argument as a
    cross join lateral app.fault(item.value -> a.path, a.type, a.required, a.lowest, a.highest, a.pattern, a.one_of) as f (message)
  where jsonb_typeof(item.value) = 'object' and f.message is not null
    and (a.required or item.value ? a.path);
$$;
comment on function app.faults(text, jsonb, text) is 'Every fault of an array of items of one shape. name is what the caller knows them by: runs[] for an array, options for a single argument.';

create or replace function app.refuse(shape text, faults jsonb)
returns void
language plpgsql
volatile
parallel safe
security invoker
set search_path = ''
as $$
begin
  if jsonb_array_length(faults) > 0 then
    perform app.fail('PT400', 'schema_violation',
      format('%s: %s%s', shape,
        (select string_agg(ltrim(format('%s %s', f.value ->> 'path', f.value ->> 'message')), '; ' order by f.ordinality)
         from jsonb_array_elements(faults) with ordinality as f where f.ordinality <= 5),
        case when jsonb_array_length(faults) > 5 then format(' and %s more', jsonb_array_length(faults) - 5) else '' end),
      faults, 'fix the fields named in details; nothing was written');
  end if;
end
$$;
comment on function app.refuse(text, jsonb) is 'Raises PT400 schema_violation when the list of {path, message} is not empty.';

create or replace function app.check_items(shape text, items jsonb, name text)
returns void
language plpgsql
volatile
parallel safe
security invoker
set search_path = ''
as $$
begin
  if jsonb_typeof(items) is distinct from 'array' then
    perform app.refuse(shape, jsonb_build_array(jsonb_build_object('path', rtrim(name, '[]'), 'message', 'must be an array')));
  end if;
  perform app.refuse(shape, (
    select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message) order by f.path, f.message), '[]')
    from app.faults(shape, items, name) as f));
end
$$;
comment on function app.check_items(text, jsonb, text) is 'Raises PT400 schema_violation that lists every fault of every item of an array.';

create or replace function app.check_input(shape text, input jsonb, name text default 'input')
returns void
language plpgsql
volatile
parallel safe
security invoker
set search_path = ''
as $$
begin
  perform app.check_items(shape, jsonb_build_array(coalesce(input, 'null')), name);
end
$$;
comment on function app.check_input(text, jsonb, text) is 'Raises PT400 schema_violation that lists every fault of one object.';
