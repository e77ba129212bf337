-- app.run_transitions is the law itself: a row that is added or removed holds at once.
begin;
select plan(5);

select app_test.a_run() as run_id \gset
create temp table change as select format('update app.runs set status = ''SUCCESS'', ended_at = now() where run_id = %L', :'run_id') as statement;
select is(app_test.error_of(statement) ->> 'code', 'illegal_transition', 'ENQUEUED cannot go to SUCCESS') from change;
insert into app.run_transitions values ('run', 'ENQUEUED', 'SUCCESS', 'a test');
select is(app_test.error_of(statement || ' and false'), null, 'the row is there') from change;
delete from app.run_transitions where entity = 'run' and to_status = 'CANCELLED';
select is(app_test.error_of(format('update app.runs set status = ''CANCELLED'', ended_at = now() where run_id = %L', :'run_id')) ->> 'code', 'illegal_transition', 'without its row a transition is illegal');
select lives_ok(statement, 'and with its row it is legal') from change;
select is(app_test.status_of(:'run_id'), 'SUCCESS', 'it happened');
rollback;
